//! Packets that stand for many, made of the segments of one flow.

use std::io::IoSlice;
use std::ops::Range;

use super::checksum::{fold, sum};
use super::headers::{Headers, Transport, flag, number16, number32, put_length, put_sum};
use super::split::put_header_checksum;
use super::{Accepts, Offload, Segmentation};

/// Flows whose segments are collected at the same time.
const GROUPS: usize = 4;

/// Segments of one packet.
const MOST_SEGMENTS: usize = 128;

/// Bytes of one packet.
const MOST_BYTES: usize = 65535;

/// Collects segments that lie in one buffer, and gives them to the host as few packets.
///
/// A segment joins what came before it in its flow only where the host's own segmentation would
/// make the same segments of the result. What cannot be joined is passed on as it is; the order
/// within a flow is kept.
#[derive(Debug)]
pub struct Coalescer {
    accepts: Accepts,
    /// In the order in which they began.
    groups: Vec<Group>,
    /// Groups to use again, so that their lists keep their memory.
    spare: Vec<Group>,
}

/// Segments of one flow, one after the other.
#[derive(Debug)]
struct Group {
    headers: Headers,
    /// Where the first packet begins.
    at: usize,
    /// Payload bytes of each but the last.
    segment: usize,
    /// Payload bytes of all.
    payload: usize,
    /// What the next segment has to begin with (TCP).
    next: u32,
    /// The last segment was one that nothing may follow.
    is_closed: bool,
    /// The payloads; the first with the headers before it.
    parts: Vec<Range<usize>>,
}

/// A segment that may be joined.
struct Segment {
    headers: Headers,
    at: usize,
    end: usize,
}

impl Coalescer {
    /// Nothing collected yet.
    #[must_use]
    pub fn new(accepts: Accepts) -> Self {
        Self { accepts, groups: Vec::with_capacity(GROUPS), spare: Vec::with_capacity(GROUPS) }
    }

    /// Takes the packet at `place` of the buffer, and sends what it ends.
    ///
    /// # Panics
    /// Where `place` is not in the buffer.
    pub fn push(
        &mut self,
        buffer: &mut [u8],
        place: Range<usize>,
        send: &mut impl FnMut(&[IoSlice<'_>], &Offload),
    ) {
        let Some(headers) = Headers::parse(&buffer[place.clone()]) else {
            // A fragment, for instance: what came before it goes first.
            self.finish(buffer, send);
            return send(&[IoSlice::new(&buffer[place])], &Offload::DONE);
        };
        let segment = Segment { headers, at: place.start, end: place.end };
        let same = self.groups.iter().position(|group| group.is_flow_of(&segment, buffer));
        if !self.is_candidate(&segment, buffer) {
            if let Some(index) = same {
                self.send_group(index, buffer, send);
            }
            return send(&[IoSlice::new(&buffer[place])], &Offload::DONE);
        }
        if let Some(index) = same {
            if self.groups[index].join(&segment, buffer) {
                return;
            }
            self.send_group(index, buffer, send);
        } else if self.groups.len() == GROUPS {
            self.send_group(0, buffer, send);
        }
        let mut group = self.spare.pop().unwrap_or_else(|| Group::new(headers));
        group.begin(&segment, buffer);
        self.groups.push(group);
    }

    /// Sends all that is still collected; the buffer may be used for something else then.
    pub fn finish(&mut self, buffer: &mut [u8], send: &mut impl FnMut(&[IoSlice<'_>], &Offload)) {
        while !self.groups.is_empty() {
            self.send_group(0, buffer, send);
        }
    }

    fn send_group(
        &mut self,
        index: usize,
        buffer: &mut [u8],
        send: &mut impl FnMut(&[IoSlice<'_>], &Offload),
    ) {
        let mut group = self.groups.remove(index);
        group.send(buffer, send);
        group.parts.clear();
        self.spare.push(group);
    }

    /// Whether a segment may be one of several at all: the checksum is right, and no header says
    /// more than the one of its neighbours would.
    fn is_candidate(&self, segment: &Segment, buffer: &[u8]) -> bool {
        let Segment { headers, at, end } = *segment;
        let packet = &buffer[at..end];
        let above = &packet[headers.ip..];
        let has_plain_ip = headers.ip == if headers.is_v6 { 40 } else { 20 };
        let has_its_length = if headers.is_v6 {
            usize::from(number16(packet, 4)) == packet.len() - 40
        } else {
            usize::from(number16(packet, 2)) == packet.len()
        };
        let has_payload = packet.len() > headers.length;
        let is_plain = match headers.transport {
            Transport::Tcp => {
                self.accepts.tcp
                    && above[13] & !flag::PSH == flag::ACK
                    && above[12].trailing_zeros() >= 4
            }
            Transport::Udp => {
                self.accepts.udp
                    && number16(above, 6) != 0
                    && usize::from(number16(above, 4)) == above.len()
            }
        };
        has_plain_ip
            && has_its_length
            && has_payload
            && is_plain
            && (headers.is_v6 || fold(sum(&packet[..20])) == 0xffff)
            && fold(headers.pseudo_sum(packet, above.len()) + sum(above)) == 0xffff
    }
}

impl Group {
    fn new(headers: Headers) -> Self {
        Self {
            headers,
            at: 0,
            segment: 0,
            payload: 0,
            next: 0,
            is_closed: false,
            parts: Vec::with_capacity(MOST_SEGMENTS),
        }
    }

    fn begin(&mut self, segment: &Segment, buffer: &[u8]) {
        let Segment { headers, at, end } = *segment;
        self.headers = headers;
        self.at = at;
        self.segment = end - at - headers.length;
        self.payload = 0;
        self.parts.clear();
        self.append(segment, at..end, buffer);
    }

    /// Notes a segment as the last one.
    fn append(&mut self, segment: &Segment, part: Range<usize>, buffer: &[u8]) {
        let Segment { headers, at, end } = *segment;
        let payload = end - at - headers.length;
        self.payload += payload;
        self.is_closed = payload < self.segment;
        if headers.transport == Transport::Tcp {
            let tcp = at + headers.ip;
            let payload = u32::try_from(payload).unwrap_or(u32::MAX);
            self.next = number32(buffer, tcp + 4).wrapping_add(payload);
            self.is_closed |= buffer[tcp + 13] & flag::PSH != 0;
        }
        self.parts.push(part);
    }

    fn is_flow_of(&self, segment: &Segment, buffer: &[u8]) -> bool {
        let (own, other) = (&buffer[self.at..], &buffer[segment.at..segment.end]);
        // Version to protocol, then addresses, then ports.
        self.headers.is_v6 == segment.headers.is_v6
            && self.headers.transport == segment.headers.transport
            && if self.headers.is_v6 {
                own[8..40] == other[8..40]
            } else {
                own[12..20] == other[12..20]
            }
            && own[self.headers.ip..][..4] == other[segment.headers.ip..][..4]
    }

    /// Takes a segment of the same flow, if it is what the host would make of the whole.
    fn join(&mut self, segment: &Segment, buffer: &mut [u8]) -> bool {
        let Segment { headers, at, end } = *segment;
        let (own, other) = (&buffer[self.at..], &buffer[at..end]);
        let payload = other.len() - headers.length;
        let fits = !self.is_closed
            && headers == self.headers
            && payload <= self.segment
            && self.parts.len() < MOST_SEGMENTS
            && headers.length + self.payload + payload <= MOST_BYTES;
        if !fits {
            return false;
        }
        let is_same_ip = if headers.is_v6 {
            // Class and flow label; next header and hop limit.
            own[..4] == other[..4] && own[6..8] == other[6..8]
        } else {
            let count = u16::try_from(self.parts.len()).unwrap_or(u16::MAX);
            let follows = number16(own, 4).wrapping_add(count) == number16(other, 4);
            let is_whole = other[6] & 0x40 != 0;
            // Class; flags; time to live and protocol.
            own[1] == other[1]
                && own[6..8] == other[6..8]
                && own[8..10] == other[8..10]
                && (follows || is_whole)
        };
        let (a, b) = (&own[headers.ip..headers.length], &other[headers.ip..headers.length]);
        let is_same_transport = match headers.transport {
            // Acknowledgement, window and options are one; flags were looked at before.
            Transport::Tcp => {
                number32(b, 4) == self.next
                    && a[8..13] == b[8..13]
                    && a[14..16] == b[14..16]
                    && a[18..] == b[18..]
            }
            Transport::Udp => true,
        };
        if !is_same_ip || !is_same_transport {
            return false;
        }
        self.append(segment, at + headers.length..end, buffer);
        if headers.transport == Transport::Tcp {
            buffer[self.at + headers.ip + 13] |= buffer[at + headers.ip + 13] & flag::PSH;
        }
        true
    }

    fn send(&self, buffer: &mut [u8], send: &mut impl FnMut(&[IoSlice<'_>], &Offload)) {
        let [first, rest @ ..] = &*self.parts else { return };
        if rest.is_empty() {
            return send(&[IoSlice::new(&buffer[first.clone()])], &Offload::DONE);
        }
        let offload = self.put_headers(&mut buffer[self.at..]);
        let mut parts = [IoSlice::new(&[]); MOST_SEGMENTS];
        for (part, place) in parts.iter_mut().zip(&self.parts) {
            *part = IoSlice::new(&buffer[place.clone()]);
        }
        send(&parts[..self.parts.len()], &offload);
    }

    /// Makes the first packet's headers those of all.
    fn put_headers(&self, packet: &mut [u8]) -> Offload {
        let Headers { is_v6, ip, length, transport } = self.headers;
        if is_v6 {
            put_length(packet, 4, length + self.payload - 40);
        } else {
            put_length(packet, 2, length + self.payload);
            put_header_checksum(&mut packet[..ip]);
        }
        let bytes = length - ip + self.payload;
        if transport == Transport::Udp {
            put_length(packet, ip + 4, bytes);
        }
        let offset = transport.checksum_offset();
        let pseudo = fold(self.headers.pseudo_sum(packet, bytes));
        put_sum(packet, ip + offset, pseudo);
        let small = |number: usize| u16::try_from(number).unwrap_or(u16::MAX);
        Offload {
            segments: match (transport, is_v6) {
                (Transport::Tcp, false) => Segmentation::Tcp4,
                (Transport::Tcp, true) => Segmentation::Tcp6,
                (Transport::Udp, _) => Segmentation::Udp,
            },
            segment: small(self.segment),
            header: small(length),
            checksum: Some((small(ip), small(offset))),
        }
    }
}
