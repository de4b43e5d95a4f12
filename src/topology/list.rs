//! A list of `AllowedIPs`, most of which is shared with other lists.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use ipnet::IpNet;

use crate::model::covers;

/// What an interface sends to a peer and accepts from it.
///
/// Ten thousand spokes with a LAN each have ten thousand lists that differ in one prefix, their own. So a
/// list is a part that many have, and the few places of it that are left out.
#[derive(Clone)]
pub struct AllowedIps(Arc<Parts>);

struct Parts {
    base: Arc<[IpNet]>,
    /// Indices of `base` that are left out, in order.
    without: Box<[u32]>,
    /// Whether `base` is in order, without host bits.
    sorted: bool,
    /// The shortest prefix of `base`.
    shortest: u8,
}

impl AllowedIps {
    /// A list of its own.
    #[must_use]
    pub fn new(nets: impl Into<Arc<[IpNet]>>) -> Self {
        let base = nets.into();
        let sorted = base.windows(2).all(|pair| pair[0] < pair[1])
            && base.iter().all(|net| *net == net.trunc());
        let shortest = base.iter().map(IpNet::prefix_len).min().unwrap_or(u8::MAX);
        Self(Arc::new(Parts { base, without: Box::default(), sorted, shortest }))
    }

    /// The same list but for some prefixes, which shares the memory of the others; `None` where that takes a
    /// list of its own, since this one is not whole or not in order.
    #[must_use]
    pub(super) fn but(&self, nets: &[IpNet]) -> Option<Self> {
        let Parts { base, without, sorted, shortest } = &*self.0;
        if !sorted || !without.is_empty() {
            return None;
        }
        let found = nets.iter().filter_map(|net| base.binary_search(net).ok());
        let mut without: Vec<u32> = found.filter_map(|at| u32::try_from(at).ok()).collect();
        if without.is_empty() {
            return Some(self.clone());
        }
        without.sort_unstable();
        let (base, without) = (Arc::clone(base), without.into_boxed_slice());
        Some(Self(Arc::new(Parts { base, without, sorted: true, shortest: *shortest })))
    }

    /// The prefixes.
    pub fn iter(&self) -> impl Iterator<Item = &IpNet> + Clone {
        let Parts { base, without, .. } = &*self.0;
        let mut left_out = without.iter().peekable();
        let all = (0_u32..).zip(base.iter());
        all.filter(move |(at, _)| left_out.next_if(|out| *out == at).is_none()).map(|(_, net)| net)
    }

    /// Whether they are in order, without host bits.
    #[must_use]
    pub fn is_sorted(&self) -> bool {
        self.0.sorted
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.base.len() - self.0.without.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether a prefix is among them.
    #[must_use]
    pub fn contains(&self, net: &IpNet) -> bool {
        let Parts { base, without, sorted, .. } = &*self.0;
        if !sorted {
            return self.iter().any(|own| own == net);
        }
        let found = base.binary_search(net).ok().and_then(|at| u32::try_from(at).ok());
        found.is_some_and(|at| without.binary_search(&at).is_err())
    }

    /// Whether one of them holds a prefix.
    #[must_use]
    pub fn hold(&self, net: &IpNet) -> bool {
        if !self.0.sorted {
            return self.iter().any(|own| covers(own, net));
        }
        let wider = |length| IpNet::new(net.addr(), length).map(|wider| wider.trunc());
        (self.0.shortest..=net.prefix_len())
            .filter_map(|length| wider(length).ok())
            .any(|wider| self.contains(&wider))
    }

    /// Those that are no longer than so many bits.
    pub fn up_to(&self, length: u8) -> impl Iterator<Item = &IpNet> {
        let any = self.0.shortest <= length;
        any.then(|| self.iter()).into_iter().flatten().filter(move |net| net.prefix_len() <= length)
    }

    /// The part that other lists have too, by its place in memory, with all that this one leaves out.
    #[must_use]
    pub fn base(&self) -> (*const IpNet, &[IpNet]) {
        (self.0.base.as_ptr(), &self.0.base)
    }

    /// The prefixes of the shared part that are left out.
    pub fn left_out(&self) -> impl Iterator<Item = &IpNet> {
        self.0.without.iter().map(|at| &self.0.base[*at as usize])
    }

    /// All in memory of their own, where they leave something out.
    #[must_use]
    pub fn whole(&self) -> Arc<[IpNet]> {
        if self.0.without.is_empty() {
            Arc::clone(&self.0.base)
        } else {
            self.iter().copied().collect()
        }
    }

    /// A copy that can be changed.
    #[must_use]
    pub fn to_vec(&self) -> Vec<IpNet> {
        self.iter().copied().collect()
    }
}

impl PartialEq for AllowedIps {
    fn eq(&self, other: &Self) -> bool {
        let (one, two) = (&*self.0, &*other.0);
        (Arc::ptr_eq(&one.base, &two.base) && one.without == two.without)
            || (self.len() == other.len() && self.iter().eq(other.iter()))
    }
}

impl Eq for AllowedIps {}

impl Hash for AllowedIps {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.len().hash(state);
        self.iter().for_each(|net| net.hash(state));
    }
}

impl fmt::Debug for AllowedIps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl FromIterator<IpNet> for AllowedIps {
    fn from_iter<I: IntoIterator<Item = IpNet>>(nets: I) -> Self {
        Self::new(nets.into_iter().collect::<Vec<IpNet>>())
    }
}

impl From<Vec<IpNet>> for AllowedIps {
    fn from(nets: Vec<IpNet>) -> Self {
        Self::new(nets)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn net((bits, length): (u8, u8)) -> IpNet {
        IpNet::V4(ipnet::Ipv4Net::new(u32::from(bits).into(), 24 + length).unwrap().trunc())
    }

    proptest! {
        #[test]
        fn a_list_that_leaves_something_out_is_one_without_it(
            all in proptest::collection::btree_set((any::<u8>(), 0_u8..=8), 0..12),
            out in proptest::collection::vec((any::<u8>(), 0_u8..=8), 0..4),
            asked in (any::<u8>(), 0_u8..=8),
        ) {
            let mut nets: Vec<IpNet> = all.iter().copied().map(net).collect();
            nets.sort_unstable();
            nets.dedup();
            let mut out: Vec<IpNet> = out.into_iter().map(net).chain(nets.first().copied()).collect();
            out.sort_unstable();
            out.dedup();
            let list = AllowedIps::from(nets.clone()).but(&out).expect("it is in order");
            nets.retain(|net| !out.contains(net));
            let plain = AllowedIps::from(nets.clone());
            prop_assert_eq!(list.to_vec(), nets.clone());
            prop_assert_eq!((list.len(), list.is_empty()), (nets.len(), nets.is_empty()));
            prop_assert_eq!(&list, &plain);
            prop_assert_eq!(&*list.whole(), &nets[..]);
            let asked = net(asked);
            prop_assert_eq!(list.contains(&asked), nets.contains(&asked));
            prop_assert_eq!(list.hold(&asked), nets.iter().any(|net| covers(net, &asked)));
            for length in [24, 27, 32] {
                let short: Vec<IpNet> =
                    nets.iter().filter(|net| net.prefix_len() <= length).copied().collect();
                prop_assert_eq!(list.up_to(length).copied().collect::<Vec<_>>(), short);
            }
        }
    }
}
