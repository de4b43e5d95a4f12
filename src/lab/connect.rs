//! A connection into a lab, handed to ssh(1).

use std::io::{IoSlice, stdout};
use std::mem::MaybeUninit;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

use rustix::fd::AsFd as _;
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};

use super::error::Tried as _;
use super::folder::Folder;
use super::spec::Node;
use super::ssh::PORT;
use super::{LabError, machine, netns};
use crate::model::FleetName;

/// How long a host that drops packets is waited for.
const PATIENCE: Duration = Duration::from_secs(10);

/// Connects to a host's sshd over the lab's management segment and passes the connection through
/// standard output, which is the socket that ssh(1) makes for `ProxyUseFdpass`: once connected, no
/// process stands between ssh(1) and the host. Called through the hidden `wgfleet lab connect`.
///
/// # Errors
/// [`LabError`] where the lab is not there, nobody answers, or standard output is no such socket.
pub fn connect(lab: &FleetName, addr: Ipv4Addr) -> Result<(), LabError> {
    machine::root()?;
    let folder = Folder::of(lab);
    if !folder.path().exists() {
        return Err(LabError::NoLab { name: lab.to_string() });
    }
    // The only thread of this process, which ends with this function.
    netns::enter(&folder.pin(Node::Controller))?;
    let to = SocketAddr::from((addr, PORT));
    let stream = TcpStream::connect_timeout(&to, PATIENCE).tried(|| format!("connect to {to}"))?;
    let descriptors = [stream.as_fd()];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    control.push(SendAncillaryMessage::ScmRights(&descriptors));
    sendmsg(stdout(), &[IoSlice::new(&[0])], &mut control, SendFlags::empty())
        .tried(|| "pass the connection to ssh".to_owned())?;
    Ok(())
}
