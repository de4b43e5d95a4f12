//! `wgfleet lab`: the fleet's digital twin on this machine.

use std::fmt::Write as _;
use std::net::Ipv4Addr;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::output::{json, print};
use super::{CommandError, CommandResult, Context, Exit, Format, FormatArgs, completions};
use crate::fleet::load::load;
use crate::lab::{self, Cable, Init, Lab, LabError, Spec};
use crate::model::{FleetName, HostName, Kind, Version, count};
use crate::report;
use crate::report::document::LabNode;

/// Raise the fleet's digital twin on this machine: namespaces, real sshd, LANs, NAT
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  wgfleet lab up --systemd paris-gw                       # prints the ssh_config of the lab
  wgfleet --ssh-config \"$(wgfleet lab up)\" apply
  wgfleet lab status
  wgfleet lab exec lan-paris-1 -- ping -c 3 192.168.2.100
  wgfleet lab stop b7                                     # and: wgfleet lab start b7
  wgfleet lab cable router-paris down                     # and: wgfleet lab cable router-paris up
  wgfleet lab down")]
pub(super) struct LabArgs {
    #[command(subcommand)]
    command: LabCommand,
}

impl LabArgs {
    /// What it prints on stdout.
    pub(super) const fn format(&self) -> Format {
        match &self.command {
            LabCommand::Up(args) => args.format.format,
            LabCommand::Status(args) => args.format.format,
            LabCommand::Down(args) => args.format.format,
            LabCommand::Exec(_)
            | LabCommand::Stop(_)
            | LabCommand::Start(_)
            | LabCommand::Cable(_)
            | LabCommand::Connect(_)
            | LabCommand::Boot(_)
            | LabCommand::Init(_) => Format::Human,
        }
    }
}

#[derive(Debug, Subcommand)]
enum LabCommand {
    /// Raise the lab; what is up already stays
    Up(UpArgs),
    /// Run a command in a host, a LAN client (lan-SITE-1), a router (router-SITE) or `internet`
    Exec(ExecArgs),
    /// Remove everything that the lab has made, also after a crash
    Down(DownArgs),
    /// Show what is in the lab
    Status(StatusArgs),
    /// Cut a host's power; its disk survives
    Stop(HostArgs),
    /// Switch a host on and wait until it answers
    Start(HostArgs),
    /// Pull or replug the underlay cable of a host or of a site's router
    Cable(CableArgs),
    /// Connect ssh(1) to a host
    #[command(hide = true)]
    Connect(ConnectArgs),
    /// Start the processes of a host
    #[command(hide = true)]
    Boot(BootArgs),
    /// Become PID 1 of a host
    #[command(hide = true)]
    Init(BootArgs),
}

/// Which lab.
#[derive(Debug, Args)]
struct Name {
    /// The lab [default: the only one that is up, otherwise the fleet's]
    #[arg(long, value_name = "LAB", add = completions::labs())]
    name: Option<FleetName>,
}

#[derive(Debug, Args)]
struct StatusArgs {
    #[command(flatten)]
    lab: Name,
    #[command(flatten)]
    format: FormatArgs,
}

#[derive(Debug, Args)]
struct UpArgs {
    /// Name of the lab [default: the fleet's]
    #[arg(long, value_name = "LAB")]
    name: Option<FleetName>,
    /// Run a real systemd as PID 1 of a host, or of `all`
    #[arg(long, value_name = "HOST", add = completions::lab_hosts())]
    systemd: Vec<String>,
    /// Hide programs of this machine from a host, or from `all`
    #[arg(long, value_name = "HOST=PROGRAM,…", value_parser = parse_without)]
    without: Vec<Without>,
    /// Raise this instead of the inventory's twin
    #[arg(long, value_name = "FILE", hide = true)]
    spec: Option<PathBuf>,
    #[command(flatten)]
    format: FormatArgs,
}

/// Programs that a host does not have.
#[derive(Debug, Clone)]
struct Without {
    host: String,
    programs: Vec<String>,
}

fn parse_without(text: &str) -> Result<Without, String> {
    let (host, programs) =
        text.split_once('=').ok_or("write HOST=PROGRAM, such as b7=wg,wg-quick")?;
    let programs = programs.split(',').map(str::to_owned).collect();
    Ok(Without { host: host.to_owned(), programs })
}

#[derive(Debug, Args)]
struct ExecArgs {
    #[command(flatten)]
    lab: Name,
    /// Where to run it
    #[arg(add = completions::nodes())]
    node: String,
    /// What to run
    #[arg(
        required = true,
        trailing_var_arg = true,
        allow_hyphen_values = true,
        value_name = "CMD"
    )]
    command: Vec<std::ffi::OsString>,
}

#[derive(Debug, Args)]
struct DownArgs {
    #[command(flatten)]
    lab: Name,
    /// Remove all labs of this machine
    #[arg(long, conflicts_with = "name")]
    all: bool,
    #[command(flatten)]
    format: FormatArgs,
}

#[derive(Debug, Args)]
struct HostArgs {
    #[command(flatten)]
    lab: Name,
    /// The host
    #[arg(add = completions::hosts())]
    host: String,
}

#[derive(Debug, Args)]
struct CableArgs {
    #[command(flatten)]
    lab: Name,
    /// The host, or router-SITE
    #[arg(add = completions::nodes())]
    node: String,
    /// What to do with it
    to: CableState,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum CableState {
    /// Replug it
    Up,
    /// Pull it
    Down,
}

#[derive(Debug, Args)]
struct ConnectArgs {
    /// The lab
    lab: FleetName,
    /// The host's management address
    addr: Ipv4Addr,
}

#[derive(Debug, Args)]
struct BootArgs {
    /// The lab's folder
    #[arg(long)]
    dir: PathBuf,
    /// Index of the host
    #[arg(long)]
    index: usize,
    /// What runs as PID 1
    #[arg(long)]
    init: InitKind,
    /// Name of the host
    host: HostName,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum InitKind {
    /// A shell
    Plain,
    /// systemd
    Systemd,
}

impl From<InitKind> for Init {
    fn from(kind: InitKind) -> Self {
        match kind {
            InitKind::Plain => Self::Plain,
            InitKind::Systemd => Self::Systemd,
        }
    }
}

impl From<lab::SpecError> for CommandError {
    fn from(error: lab::SpecError) -> Self {
        Self::new(Exit::Usage, &error)
    }
}

impl From<LabError> for CommandError {
    fn from(error: LabError) -> Self {
        let exit = match error {
            LabError::NoNode { .. }
            | LabError::NotHost { .. }
            | LabError::NoCable { .. }
            | LabError::NoLab { .. } => Exit::Usage,
            _ => Exit::Failed,
        };
        Self::new(exit, &error)
    }
}

/// Runs `wgfleet lab …`.
///
/// # Errors
/// [`CommandError`] where the lab, or the machine, refuses.
pub(super) fn run(context: &Context, args: LabArgs) -> CommandResult {
    match args.command {
        LabCommand::Up(args) => up(context, args),
        LabCommand::Exec(args) => exec(context, &args),
        LabCommand::Down(args) => down(context, &args),
        LabCommand::Status(args) => status(context, &args.lab),
        LabCommand::Stop(args) => {
            open(context, &args.lab)?.stop(&args.host)?;
            Ok(Exit::Done)
        }
        LabCommand::Start(args) => {
            open(context, &args.lab)?.start(&args.host)?;
            Ok(Exit::Done)
        }
        LabCommand::Cable(args) => {
            let to = match args.to {
                CableState::Up => Cable::Up,
                CableState::Down => Cable::Down,
            };
            open(context, &args.lab)?.cable(&args.node, to)?;
            Ok(Exit::Done)
        }
        LabCommand::Connect(args) => {
            lab::connect(&args.lab, args.addr)?;
            Ok(Exit::Done)
        }
        LabCommand::Boot(args) => {
            lab::boot(&args.dir, args.index, &args.host, args.init.into())?;
            Ok(Exit::Done)
        }
        LabCommand::Init(args) => {
            Err(lab::init(&args.dir, args.index, &args.host, args.init.into()).into())
        }
    }
}

/// The lab that is meant: the named one, the only one, or the fleet's.
fn chosen(context: &Context, name: &Name) -> Result<FleetName, CommandError> {
    if let Some(name) = &name.name {
        return Ok(name.clone());
    }
    let mut labs = Lab::list();
    if labs.len() > 1
        && let Ok(loaded) = load(&context.fleet)
        && let Some(inventory) = loaded.inventory
        && labs.contains(&inventory.fleet.value)
    {
        return Ok(inventory.fleet.value);
    }
    match labs.len() {
        0 => Err(CommandError::message(Exit::Usage, "there is no lab")
            .hint("run `wgfleet lab up` first")),
        1 => Ok(labs.remove(0)),
        _ => {
            let labs: Vec<String> = labs.iter().map(ToString::to_string).collect();
            let message = format!("there are several labs: {}", labs.join(", "));
            Err(CommandError::message(Exit::Usage, message).hint("choose one with --name LAB"))
        }
    }
}

fn open(context: &Context, name: &Name) -> Result<Lab, CommandError> {
    Ok(Lab::open(&chosen(context, name)?)?)
}

/// What is to be raised.
fn spec(context: &Context, args: &UpArgs) -> Result<Spec, CommandError> {
    let Some(path) = &args.spec else {
        let loaded = load(&context.fleet)?;
        if let Some(inventory) = &loaded.inventory {
            return Spec::from_inventory(inventory)
                .map_err(|error| CommandError::new(Exit::Findings, &error));
        }
        let summary = report::findings::summary(&loaded.findings);
        anstream::eprint!("{}", report::findings::human(&loaded.findings, &loaded.sources, true));
        return Err(CommandError::message(Exit::Findings, summary));
    };
    let bytes = crate::sys::read_limited(path, 64 << 20)
        .map_err(|error| CommandError::new(Exit::Failed, &error))?;
    serde_json::from_slice(&bytes).map_err(|error| CommandError::new(Exit::Usage, &error))
}

fn up(context: &Context, args: UpArgs) -> CommandResult {
    let mut spec = spec(context, &args)?;
    if let Some(name) = args.name {
        spec = spec.named(name);
    }
    for host in &args.systemd {
        for host in spec.select(host)? {
            host.init = Init::Systemd;
        }
    }
    for Without { host, programs } in &args.without {
        for host in spec.select(host)? {
            host.hide.extend(programs.iter().flat_map(|program| lab::places_of(program)));
        }
    }
    let program = std::env::current_exe()?;
    let lab = Lab::up(spec, &program)?;
    let name = lab.spec().name.to_string();
    let config = lab.ssh_config();
    match context.format {
        Format::Json => print_json(&lab)?,
        Format::Human => {
            let file = context.fleet.file.display();
            super::write_stdout(format!("{}\n", config.display()).as_bytes())?;
            if !context.quiet {
                let hosts = count(lab.spec().hosts.len(), "host");
                anstream::eprintln!("the lab {name} is up: {hosts}");
                anstream::eprintln!(
                    "  try   wgfleet -f {file} --ssh-config {} plan",
                    config.display()
                );
                anstream::eprintln!("  then  wgfleet lab exec NODE -- COMMAND…");
                anstream::eprintln!("  end   wgfleet lab down --name {name}");
            }
        }
    }
    Ok(Exit::Done)
}

fn exec(context: &Context, args: &ExecArgs) -> CommandResult {
    let lab = open(context, &args.lab)?;
    let node = lab.node(&args.node)?;
    let mut command = lab.command(node, &args.command)?;
    // Its exit code is this process's.
    Err(CommandError::new(Exit::Failed, &command.exec()))
}

fn down(context: &Context, args: &DownArgs) -> CommandResult {
    let labs = if args.all { Lab::list() } else { vec![chosen(context, &args.lab)?] };
    let mut gone = Vec::new();
    for name in labs {
        if Lab::down(&name)? {
            context.say(&format!("the lab {name} is gone"));
            gone.push(name);
        }
    }
    if context.format == Format::Human {
        return Ok(Exit::Done);
    }
    print(&json(&report::document::LabDown {
        kind: Kind::default(),
        version: Version::default(),
        labs: &gone,
    })?)
}

fn status(context: &Context, name: &Name) -> CommandResult {
    let lab = open(context, name)?;
    match context.format {
        Format::Json => print_json(&lab)?,
        Format::Human => {
            let nodes = lab.status();
            let width = nodes.iter().map(|node| node.name.len()).max().unwrap_or(0);
            let mut text = String::new();
            for node in nodes {
                let state = if node.on { "on" } else { "off" };
                let addresses: Vec<String> =
                    node.addresses.iter().map(ToString::to_string).collect();
                // Writing to a String cannot fail.
                let _ = writeln!(
                    text,
                    "{:width$}  {:10}  {state:3}  {}",
                    node.name,
                    node.kind,
                    addresses.join(" ")
                );
            }
            super::write_stdout(text.as_bytes())?;
        }
    }
    Ok(Exit::Done)
}

/// Shows a lab that is up, as one JSON object.
fn print_json(lab: &Lab) -> Result<(), CommandError> {
    let (nodes, config) = (lab.status(), lab.ssh_config());
    let shown = nodes.iter().map(|node| LabNode {
        name: &node.name,
        r#type: node.kind,
        on: node.on,
        pid: node.pid,
        addresses: &node.addresses,
    });
    let document = report::document::Lab::new(&lab.spec().name, &config, shown.collect());
    super::write_stdout(json(&document)?.as_bytes())
}
