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
}

impl<T: Copy + Default> Setting<T> {
    /// The value that counts.
    #[must_use]
    pub fn get(&self) -> T {
        self.0.as_ref().map_or_else(T::default, |declared| declared.value)
    }
}

/// What can be taken from a lower level of inheritance.
pub(super) trait Inherit: Clone {
    /// The same, from `level`; what already comes from a level below keeps that one.
    fn inherited(&self, level: Level) -> Self;
}

impl<T: Clone> Inherit for Declared<T> {
    fn inherited(&self, level: Level) -> Self {
        let level = if self.level == Level::Own { level } else { self.level };
        Self { level, ..self.clone() }
    }
}

impl<T: Inherit> Inherit for Vec<T> {
    fn inherited(&self, level: Level) -> Self {
        self.iter().map(|item| item.inherited(level)).collect()
    }
}

/// Takes what is missing from a lower level.
pub(super) fn fill<T: Inherit>(higher: &mut Option<T>, lower: Option<&T>, level: Level) {
    if higher.is_none() {
        *higher = lower.map(|lower| lower.inherited(level));
    }
}
