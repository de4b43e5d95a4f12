//! The filter of system calls (seccomp(2)), compiled and installed.

use std::collections::BTreeMap;
use std::io;

use nix::libc;
use seccompiler::{
    BackendError, BpfProgram, SeccompAction, SeccompFilter, SeccompRule, TargetArch,
};

use super::calls::{self, FREE, OLDER};

/// Why system calls are not filtered.
#[derive(Debug, thiserror::Error)]
pub(super) enum FilterError {
    /// No list was made for this kind of processor, or it cannot be compiled.
    #[error("no filter for this machine: {0}")]
    Compile(#[from] BackendError),
    /// The kernel has no seccomp, or does not take the filter.
    #[error("the kernel takes no filter: {0}")]
    Install(#[source] io::Error),
}

/// Installs the filter for this thread and those that it starts.
pub(super) fn install() -> Result<(), FilterError> {
    let (older, main) = (without_clone3()?, main()?);
    // Both have their say at each call, and what forbids wins.
    load(&older, QUIET).map_err(FilterError::Install)?;
    load(&main, QUIET | libc::SECCOMP_FILTER_FLAG_LOG).map_err(FilterError::Install)
}

/// Everything but the calls of the list is refused.
///
/// Refused, not killed: a call that a C library makes in some corner is most often one that it can do
/// without, as it has to on kernels that lack it, and a tunnel that carries a site's traffic is not to
/// end for it. Whoever has taken the process over gains nothing from the difference. The kernel's audit
/// log names each call that was refused.
fn main() -> Result<BpfProgram, BackendError> {
    let mut rules: BTreeMap<libc::c_long, Vec<SeccompRule>> = BTreeMap::new();
    rules.extend(FREE.iter().chain(OLDER).map(|call| (*call, Vec::new())));
    for (call, forms) in calls::conditions()? {
        let forms = forms.into_iter().map(SeccompRule::new);
        rules.insert(call, forms.collect::<Result<_, _>>()?);
    }
    compile(rules, SeccompAction::Errno(errno(libc::EPERM)), SeccompAction::Allow)
}

/// The flags of clone3(2) lie in memory, where a filter does not see them. A kernel that says that it
/// has no such call is asked with clone(2) by every C library.
fn without_clone3() -> Result<BpfProgram, BackendError> {
    let rules = BTreeMap::from([(libc::SYS_clone3, Vec::new())]);
    compile(rules, SeccompAction::Allow, SeccompAction::Errno(errno(libc::ENOSYS)))
}

fn compile(
    rules: BTreeMap<libc::c_long, Vec<SeccompRule>>,
    otherwise: SeccompAction,
    matched: SeccompAction,
) -> Result<BpfProgram, BackendError> {
    let processor: TargetArch = std::env::consts::ARCH.try_into()?;
    SeccompFilter::new(rules, otherwise, matched, processor)?.try_into()
}

fn errno(number: i32) -> u32 {
    number.unsigned_abs()
}

/// No other code runs in this process whose speculation would have to be tamed; Linux before 5.16
/// makes every load slower otherwise.
const QUIET: libc::c_ulong = libc::SECCOMP_FILTER_FLAG_SPEC_ALLOW;

fn load(program: &[seccompiler::sock_filter], flags: libc::c_ulong) -> io::Result<()> {
    match load_with(program, flags) {
        // Linux before 4.17 does not know the flags.
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => load_with(program, 0),
        outcome => outcome,
    }
}

fn load_with(program: &[seccompiler::sock_filter], flags: libc::c_ulong) -> io::Result<()> {
    let mut steps: Vec<libc::sock_filter> = program
        .iter()
        .map(|step| libc::sock_filter { code: step.code, jt: step.jt, jf: step.jf, k: step.k })
        .collect();
    let len = steps.len().try_into().map_err(|_| io::ErrorKind::InvalidInput)?;
    let program = libc::sock_fprog { len, filter: steps.as_mut_ptr() };
    #[expect(unsafe_code, reason = "no safe interface to seccomp(2) takes flags")]
    // SAFETY: the kernel copies `len` steps from `filter`, which live until the call returns, and
    // changes no memory.
    let outcome = unsafe {
        libc::syscall(
            libc::SYS_seccomp,
            libc::c_ulong::from(libc::SECCOMP_SET_MODE_FILTER),
            flags,
            &raw const program,
        )
    };
    if outcome == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
