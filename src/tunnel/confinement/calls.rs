//! The system calls that a running tunnel makes.
//!
//! Found by tracing the tests of the tunnel; beside those, the ones that other C libraries and older
//! kernels have for the same. No file is opened and no program started any more, memory is never
//! executable, and sockets are UDP's and rtnetlink's.

use nix::libc::{self, c_long};
use seccompiler::{
    BackendError, SeccompCmpArgLen as Length, SeccompCmpOp as Compare, SeccompCondition,
};

/// Allowed whatever the arguments are. What each packet takes is here: the kernel remembers these
/// and runs no filter for them (since Linux 5.11).
pub(super) const FREE: &[c_long] = &[
    // Packets, and answers to wg(8).
    libc::SYS_read,
    libc::SYS_readv,
    libc::SYS_write,
    libc::SYS_writev,
    // The time of the last initiation, into a file that is open.
    libc::SYS_pwrite64,
    libc::SYS_recvfrom,
    libc::SYS_recvmsg,
    libc::SYS_recvmmsg,
    libc::SYS_sendto,
    libc::SYS_sendmsg,
    libc::SYS_sendmmsg,
    libc::SYS_ppoll,
    libc::SYS_pselect6,
    libc::SYS_epoll_create1,
    libc::SYS_epoll_ctl,
    libc::SYS_epoll_pwait,
    libc::SYS_epoll_pwait2,
    libc::SYS_eventfd2,
    // Sockets that are there, and their end.
    libc::SYS_accept,
    libc::SYS_accept4,
    libc::SYS_bind,
    libc::SYS_getsockname,
    libc::SYS_getpeername,
    libc::SYS_getsockopt,
    libc::SYS_shutdown,
    libc::SYS_close,
    libc::SYS_dup,
    libc::SYS_dup3,
    // Time and waiting.
    libc::SYS_clock_gettime,
    libc::SYS_clock_getres,
    libc::SYS_clock_nanosleep,
    libc::SYS_gettimeofday,
    libc::SYS_nanosleep,
    libc::SYS_futex,
    libc::SYS_sched_yield,
    libc::SYS_restart_syscall,
    // Memory.
    libc::SYS_brk,
    libc::SYS_munmap,
    libc::SYS_mremap,
    libc::SYS_madvise,
    // Threads: their beginning, their signals, their end.
    libc::SYS_clone3,
    libc::SYS_set_robust_list,
    libc::SYS_set_tid_address,
    libc::SYS_rseq,
    libc::SYS_gettid,
    libc::SYS_getpid,
    libc::SYS_sched_getaffinity,
    libc::SYS_getpriority,
    libc::SYS_sigaltstack,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_exit,
    libc::SYS_exit_group,
    libc::SYS_getrandom,
    // The socket's own files, which are removed in the end.
    libc::SYS_statx,
    libc::SYS_newfstatat,
    libc::SYS_fstat,
    libc::SYS_unlinkat,
];

/// What only older architectures have.
#[cfg(target_arch = "x86_64")]
pub(super) const OLDER: &[c_long] = &[
    libc::SYS_poll,
    libc::SYS_epoll_wait,
    libc::SYS_dup2,
    libc::SYS_time,
    libc::SYS_stat,
    libc::SYS_lstat,
    libc::SYS_unlink,
];
#[cfg(not(target_arch = "x86_64"))]
pub(super) const OLDER: &[c_long] = &[];

/// One way in which a call may be made: what must hold of its arguments, together.
type Form = Vec<(u8, Length, Compare, u64)>;

/// Allowed in these forms only.
fn narrow() -> Vec<(c_long, Vec<Form>)> {
    let is = |argument, value: i32| (argument, Length::Dword, Compare::Eq, bits(value));
    let bits_are = |argument, mask: i32, value: i32| {
        (argument, Length::Dword, Compare::MaskedEq(bits(mask)), bits(value))
    };
    let below = |argument, value| (argument, Length::Dword, Compare::Lt, value);
    let socket = |family, kind, protocol| {
        // Its flags are in the upper bits of the kind.
        vec![is(0, family), bits_are(1, 0xf, kind), is(2, protocol)]
    };
    let never_executable = || vec![vec![bits_are(2, libc::PROT_EXEC, 0)]];
    let own = i32::try_from(std::process::id()).unwrap_or(-1);
    vec![
        (
            libc::SYS_socket,
            vec![
                socket(libc::AF_INET, libc::SOCK_DGRAM, libc::IPPROTO_UDP),
                socket(libc::AF_INET6, libc::SOCK_DGRAM, libc::IPPROTO_UDP),
                // The same: 0 is the protocol that belongs to the kind.
                socket(libc::AF_INET, libc::SOCK_DGRAM, 0),
                socket(libc::AF_INET6, libc::SOCK_DGRAM, 0),
                socket(libc::AF_NETLINK, libc::SOCK_RAW, libc::NETLINK_ROUTE),
            ],
        ),
        (
            libc::SYS_setsockopt,
            vec![
                vec![is(1, libc::SOL_SOCKET)],
                vec![is(1, libc::SOL_UDP)],
                // From 64 on they are the packet filter's (linux/netfilter_ipv4/ip_tables.h).
                vec![is(1, libc::SOL_IP), below(2, 64)],
                vec![is(1, libc::SOL_IPV6), below(2, 64)],
                vec![is(1, libc::SOL_IPV6), is(2, libc::IPV6_RECVTCLASS)],
            ],
        ),
        (
            libc::SYS_fcntl,
            [
                libc::F_GETFD,
                libc::F_SETFD,
                libc::F_GETFL,
                libc::F_SETFL,
                libc::F_DUPFD,
                libc::F_DUPFD_CLOEXEC,
            ]
            .map(|command| vec![is(1, command)])
            .into(),
        ),
        (
            libc::SYS_ioctl,
            [FIONBIO, SIOCGIFINDEX]
                .map(|request| vec![(1, Length::Dword, Compare::Eq, request)])
                .into(),
        ),
        (libc::SYS_mmap, never_executable()),
        (libc::SYS_mprotect, never_executable()),
        // A thread, not a process, and in no namespace of its own.
        (
            libc::SYS_clone,
            vec![vec![bits_are(0, libc::CLONE_THREAD | NAMESPACES, libc::CLONE_THREAD)]],
        ),
        (libc::SYS_prctl, vec![vec![is(0, libc::PR_SET_NAME)]]),
        // A thread's own place among others: PRIO_PROCESS, and 0 for the calling one.
        (libc::SYS_setpriority, vec![vec![is(0, 0), is(1, 0)]]),
        // To look at a limit, not to set one.
        (libc::SYS_prlimit64, vec![vec![is(0, 0), (2, Length::Qword, Compare::Eq, 0)]]),
        // abort(3).
        (libc::SYS_tgkill, vec![vec![is(0, own)]]),
    ]
}

/// `FIONBIO` of asm-generic/ioctls.h: std's way to make a socket non-blocking.
const FIONBIO: u64 = 0x5421;
/// `SIOCGIFINDEX` of linux/sockios.h: the zone of a link-local endpoint is an interface's name.
const SIOCGIFINDEX: u64 = 0x8933;

const NAMESPACES: i32 = libc::CLONE_NEWNS
    | libc::CLONE_NEWCGROUP
    | libc::CLONE_NEWUTS
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWUSER
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWNET;

/// An int as the lower half of a register.
fn bits(value: i32) -> u64 {
    u64::from(value.cast_unsigned())
}

/// The forms of one call, for the compiler of filters.
type Conditions = Vec<Vec<SeccompCondition>>;

/// The calls that are allowed in some forms only.
pub(super) fn conditions() -> Result<Vec<(c_long, Conditions)>, BackendError> {
    let form = |form: Form| -> Result<Vec<SeccompCondition>, BackendError> {
        form.into_iter()
            .map(|(argument, length, compare, value)| {
                SeccompCondition::new(argument, length, compare, value)
            })
            .collect()
    };
    let call = |(call, forms): (c_long, Vec<Form>)| {
        Ok((call, forms.into_iter().map(form).collect::<Result<_, _>>()?))
    };
    narrow().into_iter().map(call).collect()
}
