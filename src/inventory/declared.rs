//! A setting as a file declares it: its place, and the level that a host has it from.

use crate::model::{Located, Location};

/// The level of inheritance at which a setting is written, seen from the host that has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Level {
    /// The host itself, its own membership of the network, or the unmanaged peer.
    Own,
    /// `defaults` of its site.
    Site,
    /// One of its groups: index into [`super::Host::groups`].
    Group(u16),
    /// The network.
    Network,
    /// `defaults` of the fleet.
    Fleet,
}

/// Where a setting is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Place {
    /// The value in the file.
    pub at: Location,
    /// Whose it is.
    pub level: Level,
}

impl Place {
    /// Of what a host or an unmanaged peer says itself.
    #[must_use]
    pub const fn own(at: Location) -> Self {
        Self { at, level: Level::Own }
    }
}

/// A value that a file declares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Declared<T> {
    /// The value.
    pub value: T,
    /// Where it is written.
    pub at: Location,
    /// At which level.
    pub level: Level,
}

impl<T> Declared<T> {
    /// What a host or an unmanaged peer says itself.
    pub const fn own(value: T, at: Location) -> Self {
        Self { value, at, level: Level::Own }
    }

    /// Where it is written, and at which level.
    pub const fn place(&self) -> Place {
        Place { at: self.at, level: self.level }
    }

    /// The same for a host that has it from `level`; what already comes from a level below keeps
    /// that one.
    #[must_use]
    pub(super) fn inherited(&self, level: Level) -> Self
    where
        T: Clone,
    {
        let level = if self.level == Level::Own { level } else { self.level };
        Self { level, ..self.clone() }
    }

    /// The same place and level with another value.
    pub fn map<U>(self, f: impl FnOnce(T) -> U) -> Declared<U> {
        Declared { value: f(self.value), at: self.at, level: self.level }
    }
}

impl<T> From<Located<T>> for Declared<T> {
    fn from(located: Located<T>) -> Self {
        Self::own(located.value, located.at)
    }
}

impl<T> From<Declared<T>> for Located<T> {
    fn from(declared: Declared<T>) -> Self {
        Self::new(declared.value, declared.at)
    }
}

/// A setting that a host has in any case: declared, or the default of its type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting<T>(Option<Declared<T>>);

impl<T> Default for Setting<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<T> From<Option<Declared<T>>> for Setting<T> {
    fn from(declared: Option<Declared<T>>) -> Self {
        Self(declared)
    }
}

impl<T> Setting<T> {
    /// What the file declares; `None` where the default counts.
    #[must_use]
    pub const fn declared(&self) -> Option<&Declared<T>> {
        self.0.as_ref()
    }

    /// The same for a host that has it from `level`.
    #[must_use]
    pub(super) fn inherited(&self, level: Level) -> Self
    where
        T: Clone,
    {
        Self(self.0.as_ref().map(|declared| declared.inherited(level)))
    }
}

impl<T: Copy + Default> Setting<T> {
    /// The value that counts.
    #[must_use]
    pub fn get(&self) -> T {
        self.0.as_ref().map_or_else(T::default, |declared| declared.value)
    }
}
