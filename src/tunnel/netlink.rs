//! Netlink: messages as bytes, and the socket that carries them.
//!
//! Everything that is decoded comes from the kernel, and is still never trusted to be whole.

use std::io;
use std::os::fd::OwnedFd;

use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{AddressFamily, Protocol, RecvFlags, SendFlags, SocketFlags, SocketType};

/// `NLM_F_REQUEST` of linux/netlink.h.
pub(crate) const REQUEST: u16 = 0x1;
/// `NLM_F_ACK`.
pub(crate) const ACK: u16 = 0x4;
/// `NLM_F_ROOT | NLM_F_MATCH`.
pub(crate) const DUMP: u16 = 0x300;
/// `NLMSG_ERROR`.
const ERROR: u16 = 2;
/// `NLM_F_DUMP_INTR`: what is listed changed meanwhile.
const INTERRUPTED: u16 = 0x10;
/// `NLMSG_DONE`.
const DONE: u16 = 3;
/// `NLA_F_NESTED`.
const NESTED: u16 = 0x8000;
/// The bits of an attribute's type that are the type.
const TYPE_MASK: u16 = 0x3fff;
const HEADER: usize = 16;
/// As large as one message of the kernel gets.
const RECEIVE_BUFFER: usize = 64 << 10;

/// A message that is being written.
pub(crate) struct Message {
    bytes: zeroize::Zeroizing<Vec<u8>>,
}

/// An attribute that holds others and is still open.
pub(crate) struct Nest(usize);

impl Message {
    /// A message of a type, with the fixed part that follows the header.
    pub(crate) fn new(kind: u16, flags: u16, fixed: &[u8]) -> Self {
        // Room for any message, so that no copy with a key in it is left behind by growing.
        let mut bytes = Vec::with_capacity(RECEIVE_BUFFER);
        bytes.extend_from_slice(&0_u32.to_ne_bytes());
        bytes.extend_from_slice(&kind.to_ne_bytes());
        bytes.extend_from_slice(&flags.to_ne_bytes());
        bytes.extend_from_slice(&[0; 8]);
        bytes.extend_from_slice(fixed);
        Self { bytes: zeroize::Zeroizing::new(bytes) }
    }

    /// Bytes so far.
    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Adds an attribute.
    pub(crate) fn attribute(&mut self, kind: u16, payload: &[u8]) {
        let length = u16::try_from(payload.len() + 4).unwrap_or(u16::MAX);
        self.bytes.extend_from_slice(&length.to_ne_bytes());
        self.bytes.extend_from_slice(&kind.to_ne_bytes());
        self.bytes.extend_from_slice(payload);
        let padded = self.bytes.len().next_multiple_of(4);
        self.bytes.resize(padded, 0);
    }

    /// Adds a text with its final zero.
    pub(crate) fn text(&mut self, kind: u16, text: &str) {
        let mut bytes = text.as_bytes().to_vec();
        bytes.push(0);
        self.attribute(kind, &bytes);
    }

    /// Opens an attribute that holds others.
    pub(crate) fn open(&mut self, kind: u16) -> Nest {
        let nest = Nest(self.bytes.len());
        self.attribute(kind | NESTED, &[]);
        nest
    }

    /// Closes it; a nest holds less than 64 KiB, which the caller sees to.
    pub(crate) fn close(&mut self, nest: &Nest) {
        let length = u16::try_from(self.bytes.len() - nest.0).unwrap_or(u16::MAX);
        self.bytes[nest.0..nest.0 + 2].copy_from_slice(&length.to_ne_bytes());
    }

    /// The message, with its length and this sequence number.
    pub(crate) fn finish(&mut self, sequence: u32) -> &[u8] {
        let length = u32::try_from(self.bytes.len()).unwrap_or(u32::MAX);
        self.bytes[..4].copy_from_slice(&length.to_ne_bytes());
        self.bytes[8..12].copy_from_slice(&sequence.to_ne_bytes());
        &self.bytes
    }
}

/// A message that was received.
pub(crate) struct Received<'b> {
    /// Its type.
    pub(crate) kind: u16,
    /// Its flags.
    flags: u16,
    /// What follows the header.
    pub(crate) payload: &'b [u8],
}

/// The messages of one datagram; what does not parse ends the list.
pub(crate) fn messages(mut bytes: &[u8]) -> impl Iterator<Item = Received<'_>> {
    std::iter::from_fn(move || {
        let length = u32::from_ne_bytes(*bytes.first_chunk()?) as usize;
        let kind = u16::from_ne_bytes(*bytes.get(4..)?.first_chunk()?);
        let flags = u16::from_ne_bytes(*bytes.get(6..)?.first_chunk()?);
        let payload = bytes.get(HEADER..length)?;
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some(Received { kind, flags, payload })
    })
}

/// The attributes of a message after its fixed part, or those in a nest.
pub(crate) fn attributes(mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let length = usize::from(u16::from_ne_bytes(*bytes.first_chunk()?));
        let kind = u16::from_ne_bytes(*bytes.get(2..)?.first_chunk()?) & TYPE_MASK;
        let payload = bytes.get(4..length)?;
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, payload))
    })
}

/// A number in the machine's byte order, of exactly the size of `T`.
macro_rules! number {
    ($name:ident, $type:ty) => {
        pub(crate) fn $name(payload: &[u8]) -> Option<$type> {
            payload.try_into().ok().map(<$type>::from_ne_bytes)
        }
    };
}
number!(u16_of, u16);
number!(u32_of, u32);
number!(u64_of, u64);
number!(i64_of, i64);

/// Text up to its final zero.
pub(crate) fn text_of(payload: &[u8]) -> Option<&str> {
    std::str::from_utf8(payload).ok().map(|text| text.trim_end_matches('\0'))
}

/// A netlink socket.
pub(crate) struct Socket {
    socket: OwnedFd,
    sequence: u32,
}

impl Socket {
    /// A socket of a protocol (`None` is `NETLINK_ROUTE`) that hears these multicast groups.
    pub(crate) fn open(protocol: Option<Protocol>, groups: u32) -> io::Result<Self> {
        let (family, kind) = (AddressFamily::NETLINK, SocketType::RAW);
        let socket = rustix::net::socket_with(family, kind, SocketFlags::CLOEXEC, protocol)?;
        rustix::net::bind(&socket, &SocketAddrNetlink::new(0, groups))?;
        Ok(Self { socket, sequence: 0 })
    }

    /// Sends a request and gives each message of the answer to `take`, until it is complete.
    ///
    /// # Errors
    /// What the kernel says; `Interrupted` where what is listed changed while it was listed.
    pub(crate) fn request(
        &mut self,
        mut message: Message,
        mut take: impl FnMut(&Received<'_>) -> io::Result<()>,
    ) -> io::Result<()> {
        self.sequence += 1;
        rustix::net::send(&self.socket, message.finish(self.sequence), SendFlags::empty())?;
        let mut buffer = zeroize::Zeroizing::new(vec![0; RECEIVE_BUFFER]);
        let mut interrupted = false;
        loop {
            let length = self.receive(&mut buffer)?;
            for message in messages(&buffer[..length]) {
                interrupted |= message.flags & INTERRUPTED != 0;
                match message.kind {
                    DONE if interrupted => return Err(rustix::io::Errno::INTR.into()),
                    DONE if message.payload.is_empty() => return Ok(()),
                    ERROR | DONE => return acknowledged(message.payload),
                    _ => take(&message)?,
                }
            }
        }
    }

    /// Waits for one datagram.
    pub(crate) fn receive(&self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match rustix::net::recv(&self.socket, &mut *buffer, RecvFlags::empty()) {
                Ok((length, _)) => return Ok(length),
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

fn acknowledged(payload: &[u8]) -> io::Result<()> {
    match payload.first_chunk().map(|code| i32::from_ne_bytes(*code)) {
        Some(0) => Ok(()),
        Some(code) => Err(io::Error::from_raw_os_error(code.saturating_neg())),
        None => Err(io::ErrorKind::InvalidData.into()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let mut message = Message::new(0x1234, REQUEST, &[7; 4]);
        message.text(1, "wg0");
        let nest = message.open(8);
        message.attribute(2, &42_u16.to_ne_bytes());
        message.close(&nest);
        let bytes = message.finish(9).to_vec();
        let received: Vec<_> = messages(&bytes).collect();
        assert_eq!(received.len(), 1);
        assert_eq!((received[0].kind, &received[0].payload[..4]), (0x1234, &[7; 4][..]));
        let found: Vec<_> = attributes(&received[0].payload[4..]).collect();
        assert_eq!((found[0].0, text_of(found[0].1)), (1, Some("wg0")));
        let inner: Vec<_> = attributes(found[1].1).collect();
        assert_eq!((found[1].0, inner[0].0, u16_of(inner[0].1)), (8, 2, Some(42)));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic_or_loop(bytes in proptest::collection::vec(any::<u8>(), 0..256)) {
            prop_assert!(messages(&bytes).count() <= 256);
            prop_assert!(attributes(&bytes).count() <= 256);
        }
    }
}
