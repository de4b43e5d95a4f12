//! The process of a tunnel: interface, engine, socket, signals; and how it goes to the background.

use std::convert::Infallible;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use super::confinement::{self, Reach};
use super::link::{LinkEvent, LinkWatch};
use super::notify::ServiceManager;
use super::own_service;
use super::panic;
use super::routes;
use super::stamp::{self, Stamp};
use super::system_log;
use super::transport::Tun;
use super::uapi::{self, Server, ServerError};
use super::{Engine, EngineError, SystemSockets, SystemTun, TunError, Userspace, Workers};
use crate::model::{InterfaceName, Mtu};

/// What the background process says once its interface and its socket are there.
const READY: &str = "ready";

/// How long the engine's threads may take to let go of the device.
const FAREWELL: Duration = Duration::from_millis(500);

/// Why a tunnel does not run.
#[derive(Debug, thiserror::Error)]
pub enum TunnelError {
    /// There is no interface.
    #[error(transparent)]
    Tun(#[from] TunError),
    /// There is no socket.
    #[error(transparent)]
    Server(#[from] ServerError),
    /// The engine does not start.
    #[error("failed to start the tunnel")]
    Engine(#[from] EngineError),
    /// The system refused something else.
    #[error("failed to {action}")]
    System {
        /// What was tried.
        action: &'static str,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The background process gave up.
    #[error("{0}")]
    Background(String),
}

fn system(action: &'static str) -> impl FnOnce(io::Error) -> TunnelError {
    move |source| TunnelError::System { action, source }
}

/// How a userspace tunnel is started where the kernel has no `WireGuard`.
#[derive(Debug, Clone, Default)]
pub enum UserspaceCommand {
    /// This binary.
    #[default]
    Own,
    /// The program that `WG_QUICK_USERSPACE_IMPLEMENTATION` names.
    Program(OsString),
}

impl UserspaceCommand {
    /// The command line, for people.
    #[must_use]
    pub fn words(&self, interface: &InterfaceName) -> Vec<String> {
        let name = interface.to_string();
        match self {
            Self::Own => vec!["wgfleet".to_owned(), "tunnel".to_owned(), name],
            Self::Program(program) => vec![program.to_string_lossy().into_owned(), name],
        }
    }

    /// Starts the tunnel of an interface; it answers when this returns.
    ///
    /// # Errors
    /// [`TunnelError`].
    pub fn start(&self, interface: &InterfaceName) -> Result<(), TunnelError> {
        match self {
            Self::Own => start_in_background(interface, &["--log-level".into(), "warn".into()]),
            Self::Program(program) => {
                let output = Command::new(program)
                    .arg(interface.as_str())
                    .stdin(Stdio::null())
                    .stdout(Stdio::null())
                    .stderr(Stdio::null())
                    .status()
                    .map_err(system("start the userspace program"))?;
                if output.success() {
                    Ok(())
                } else {
                    let name = program.to_string_lossy();
                    Err(TunnelError::Background(format!("{name} failed: {output}")))
                }
            }
        }
    }
}

/// Starts the tunnel in the background: returns once its interface exists and its socket answers. Where
/// systemd runs the machine, it is a service of its own.
///
/// `options` are further ones of `wgfleet tunnel`; the background process calls [`run`] with
/// [`Announce::Stdout`].
///
/// # Errors
/// [`TunnelError::Background`] with what the background process said.
pub fn start_in_background(
    interface: &InterfaceName,
    options: &[OsString],
) -> Result<(), TunnelError> {
    let binary = std::env::current_exe().map_err(system("find the running binary"))?;
    crate::sys::forget_inherited_descriptors().map_err(system("list the open descriptors"))?;
    let name = [OsString::from("--"), interface.as_str().into()];
    let with = |first: &[&str]| -> Vec<OsString> {
        first.iter().map(Into::into).chain(options.iter().chain(&name).cloned()).collect()
    };
    if own_service::start(interface, &binary, &with(&["tunnel"])) {
        return Ok(());
    }
    let mut child = Command::new(binary)
        .arg0("wgfleet")
        .args(with(&["tunnel", "--announce"]))
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(system("start the background process"))?;
    let mut said = String::new();
    if let Some(stdout) = child.stdout.take() {
        // Ends when the tunnel runs or has ended; either way it closes its stdout.
        stdout.take(64).read_to_string(&mut said).map_err(system("hear the background process"))?;
    }
    if said.trim_end() == READY {
        return Ok(());
    }
    let mut why = String::new();
    if let Some(stderr) = child.stderr.take() {
        let heard = stderr.take(64 << 10).read_to_string(&mut why);
        heard.map_err(system("hear the background process"))?;
    }
    let _ = child.wait();
    let why = why.trim_end();
    let why = why.strip_prefix("wgfleet: ").unwrap_or(why);
    let why = if why.is_empty() { "the background process ended" } else { why };
    Err(TunnelError::Background(why.to_owned()))
}

/// Who hears that the tunnel is ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Announce {
    /// The service manager that `NOTIFY_SOCKET` names, if any: the tunnel stays in the foreground.
    Manager,
    /// The process that started this one, on stdout; then what would go to stderr goes to the log of
    /// the machine, and the process leads a session of its own.
    Stdout,
}

/// Runs a tunnel until its interface is deleted or the process is told to end.
///
/// # Errors
/// [`TunnelError`]; the interface is gone then.
pub fn run(interface: &InterfaceName, announce: Announce) -> Result<(), TunnelError> {
    confinement::guard_secrets().map_err(system("switch core dumps off"))?;
    if announce == Announce::Stdout {
        // Fails only where this process leads a session already.
        let _ = rustix::process::setsid();
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(system("start the runtime"))?.block_on(attend(interface, announce))
}

async fn attend(interface: &InterfaceName, announce: Announce) -> Result<(), TunnelError> {
    let mut terminated = signal(SignalKind::terminate()).map_err(system("await signals"))?;
    let mut interrupted = signal(SignalKind::interrupt()).map_err(system("await signals"))?;
    let mut hung_up = signal(SignalKind::hangup()).map_err(system("await signals"))?;

    let manager = match announce {
        Announce::Manager => ServiceManager::of_this_process(),
        Announce::Stdout => Ok(None),
    };
    let manager = manager.map_err(system("reach the service manager"))?;
    let null = File::options().read(true).write(true).open(Path::new("/dev/null"));
    let null = null.map_err(system("open /dev/null"))?;
    // While it can still be reached.
    let log = system_log::open();
    let stamp = Stamp::open(interface).unwrap_or_else(|error| {
        tracing::warn!("the time of initiations is not kept in STATE_DIRECTORY: {error}");
        None
    });

    let tun = Arc::new(SystemTun::create(interface)?);
    let watch = LinkWatch::start(interface, &tun).map_err(system("watch the interface"))?;
    watch.set_mtu(Mtu::DEFAULT.get().into()).map_err(system("set the MTU"))?;
    let state = watch.state().map_err(system("look at the interface"))?;
    let mut server = Server::listen(interface).await?;

    let workers = Workers::of_this_machine();
    // No thread but this one is there yet: those of the engine inherit what is left.
    let reach = confinement::confine(Path::new(uapi::FOLDER));
    if reach.map_err(system("give up privileges"))? == Reach::Folder {
        server.folder_is_root();
    }
    let side = Arc::clone(&tun) as Arc<dyn Tun>;
    let engine = Userspace::start_with(side, Box::new(SystemSockets), state.mtu, workers)?;
    let engine = Arc::new(engine);
    if let Some((_, Some(last))) = &stamp {
        engine.go_on_after(*last);
    }
    let mut stamp = stamp.map(|(stamp, _)| stamp);
    let events = report_events(watch).map_err(system("watch the interface"))?;
    let watched: Weak<dyn Engine> = Arc::<Userspace>::downgrade(&engine);
    routes::watch(watched).map_err(system("watch the routes"))?;
    panic::end_with_any_thread(format!("tunnel {interface}"));
    tracing::info!("tunnel {interface} is ready");
    if announce == Announce::Stdout {
        announce_ready(&null, log.as_ref()).map_err(system("detach from the terminal"))?;
    }
    if let Some(manager) = &manager {
        manager.ready().map_err(system("tell the service manager"))?;
    }

    let answering = server.serve(Arc::clone(&engine) as Arc<dyn Engine>);
    let outcome = tokio::select! {
        _ = terminated.recv() => Ok(()),
        _ = interrupted.recv() => Ok(()),
        _ = hung_up.recv(), if announce == Announce::Manager => Ok(()),
        never = answering => match never {},
        () = follow(events, interface, &*engine) => Ok(()),
        never = keep_time(stamp.as_mut(), &*engine) => match never {},
    };
    if let Some(stamp) = &mut stamp {
        stamp.keep(engine.last_initiation());
    }
    tracing::info!("tunnel {interface} ends");
    if let Some(manager) = &manager {
        manager.stopping();
    }
    engine.stop();
    drop(engine);
    remove(tun).await;
    outcome
}

/// Keeps the time of the last initiation, for ever; without a file for it, nothing ever wakes up.
async fn keep_time(stamp: Option<&mut Stamp>, engine: &dyn Engine) -> Infallible {
    let Some(stamp) = stamp else { return std::future::pending().await };
    loop {
        tokio::time::sleep(stamp::EVERY).await;
        stamp.keep(engine.last_initiation());
    }
}

/// Ends the interface, which goes with the last who holds its device: so that it is gone when the
/// socket is, and the process after it.
async fn remove(tun: Arc<SystemTun>) {
    let deadline = tokio::time::Instant::now() + FAREWELL;
    while Arc::strong_count(&tun) > 1 && tokio::time::Instant::now() < deadline {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// Waits for the kernel's reports on a thread of its own, which ends with the interface or with
/// the process.
fn report_events(mut watch: LinkWatch) -> io::Result<mpsc::Receiver<LinkEvent>> {
    let (sender, events) = mpsc::channel(16);
    let named = std::thread::Builder::new().name("link".to_owned());
    named.spawn(move || {
        loop {
            let Ok(heard) = watch.wait() else { return };
            for event in heard {
                if sender.blocking_send(event).is_err() || event == LinkEvent::Gone {
                    return;
                }
            }
        }
    })?;
    Ok(events)
}

/// Tells the engine of the interface's state, until the interface is gone.
async fn follow(
    mut events: mpsc::Receiver<LinkEvent>,
    interface: &InterfaceName,
    engine: &dyn Engine,
) {
    while let Some(LinkEvent::State(state)) = events.recv().await {
        if let Err(error) = engine.link(state) {
            let cause = std::error::Error::source(&error).map(ToString::to_string);
            let cause = cause.unwrap_or_default();
            tracing::error!(
                "tunnel {interface} is up, and hears nothing where this failed: {error}: {cause}; \
                 it tries again every second"
            );
        }
    }
}

fn announce_ready(null: &File, log: Option<&OwnedFd>) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "{READY}")?;
    stdout.flush()?;
    rustix::stdio::dup2_stdout(null)?;
    match log {
        Some(log) => rustix::stdio::dup2_stderr(log)?,
        None => rustix::stdio::dup2_stderr(null)?,
    }
    Ok(())
}
