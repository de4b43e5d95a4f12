//! What a YAML document says, without where and how it is written.

use std::collections::BTreeMap;

use super::super::node::{Kind, Node};

/// A value. A map without entries is as good as none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Plain {
    Null,
    Scalar { text: Box<str>, quoted: bool },
    Seq(Vec<Plain>),
    Map(BTreeMap<Box<str>, Plain>),
}

impl From<&Node> for Plain {
    fn from(node: &Node) -> Self {
        match &node.kind {
            Kind::Null => Self::Null,
            Kind::Scalar { text, quoted } => Self::Scalar { text: text.clone(), quoted: *quoted },
            Kind::Seq(items) => Self::Seq(items.iter().map(Self::from).collect()),
            Kind::Map(entries) => Self::Map(
                entries.iter().map(|(key, value)| (key.value.clone(), value.into())).collect(),
            ),
        }
    }
}

impl Plain {
    /// The map of a key, which begins where there is none.
    pub(super) fn at(&mut self, key: &str) -> &mut Self {
        self.map().entry(key.into()).or_insert(Self::Null)
    }

    pub(super) fn insert(&mut self, key: &str, value: Self) {
        self.map().insert(key.into(), value);
    }

    pub(super) fn remove(&mut self, key: &str) {
        self.map().remove(key);
    }

    fn map(&mut self) -> &mut BTreeMap<Box<str>, Self> {
        if !matches!(self, Self::Map(_)) {
            *self = Self::Map(BTreeMap::new());
        }
        match self {
            Self::Map(entries) => entries,
            Self::Null | Self::Scalar { .. } | Self::Seq(_) => unreachable!("it was made a map"),
        }
    }

    /// Whether two say the same.
    pub(super) fn same(&self, other: &Self) -> bool {
        let empty = |one: &Self| match one {
            Self::Null => true,
            Self::Map(entries) => entries.is_empty(),
            Self::Scalar { .. } | Self::Seq(_) => false,
        };
        match (self, other) {
            (Self::Map(one), Self::Map(other)) => {
                one.len() == other.len()
                    && one.iter().zip(other).all(|(a, b)| a.0 == b.0 && a.1.same(b.1))
            }
            (Self::Seq(one), Self::Seq(other)) => {
                one.len() == other.len() && one.iter().zip(other).all(|(a, b)| a.same(b))
            }
            (one, other) => one == other || (empty(one) && empty(other)),
        }
    }
}
