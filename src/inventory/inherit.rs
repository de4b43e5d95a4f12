//! How a key is inherited: a type for each way, which the rows of the format name.

use super::declared::{Declared, Level, Place, Setting};
use super::spec::Inheritance;

/// What a row says about inheritance, which is the same for values of all types.
pub(super) trait Way {
    const INHERITANCE: Inheritance;
    /// Whether the key must be there.
    const REQUIRED: bool = false;
}

/// A way of inheritance, for values of one type: a row whose type cannot be inherited in the way
/// that it names does not compile.
pub(super) trait Inherits<T>: Way {
    /// Takes from a lower level what this one leaves open.
    fn inherit(higher: &mut T, lower: &T, level: Level);
    /// Where the value is written.
    fn places(value: &T) -> Vec<Place>;
}

/// Not inherited.
pub(super) struct Own;

/// Not inherited, and never absent.
pub(super) struct Required;

/// The nearest level that says it wins.
pub(super) struct Replaced;

/// All levels count, the lower ones first.
pub(super) struct Added;

/// The nearest level says which names there are.
pub(super) struct Merged;

impl Way for Own {
    const INHERITANCE: Inheritance = Inheritance::Own;
}

impl Way for Required {
    const INHERITANCE: Inheritance = Inheritance::Own;
    const REQUIRED: bool = true;
}

impl Way for Replaced {
    const INHERITANCE: Inheritance = Inheritance::Replaced;
}

impl Way for Added {
    const INHERITANCE: Inheritance = Inheritance::Added;
}

impl Way for Merged {
    const INHERITANCE: Inheritance = Inheritance::Merged;
}

impl<T> Inherits<T> for Own {
    fn inherit(_: &mut T, _: &T, _: Level) {}

    fn places(_: &T) -> Vec<Place> {
        Vec::new()
    }
}

impl<T> Inherits<T> for Required {
    fn inherit(_: &mut T, _: &T, _: Level) {}

    fn places(_: &T) -> Vec<Place> {
        Vec::new()
    }
}

impl<T: Clone> Inherits<Option<Declared<T>>> for Replaced {
    fn inherit(higher: &mut Option<Declared<T>>, lower: &Option<Declared<T>>, level: Level) {
        if higher.is_none() {
            *higher = lower.as_ref().map(|lower| lower.inherited(level));
        }
    }

    fn places(value: &Option<Declared<T>>) -> Vec<Place> {
        value.iter().map(Declared::place).collect()
    }
}

impl<T: Clone> Inherits<Option<Vec<Declared<T>>>> for Replaced {
    fn inherit(
        higher: &mut Option<Vec<Declared<T>>>,
        lower: &Option<Vec<Declared<T>>>,
        level: Level,
    ) {
        if higher.is_none() {
            *higher = lower.as_ref().map(|lower| all(lower, level).collect());
        }
    }

    fn places(value: &Option<Vec<Declared<T>>>) -> Vec<Place> {
        value.iter().flatten().map(Declared::place).collect()
    }
}

impl<T: Clone> Inherits<Setting<T>> for Replaced {
    fn inherit(higher: &mut Setting<T>, lower: &Setting<T>, level: Level) {
        if higher.declared().is_none() {
            *higher = lower.inherited(level);
        }
    }

    fn places(value: &Setting<T>) -> Vec<Place> {
        value.declared().map(Declared::place).into_iter().collect()
    }
}

impl<T: Clone> Inherits<Vec<Declared<T>>> for Added {
    fn inherit(higher: &mut Vec<Declared<T>>, lower: &Vec<Declared<T>>, level: Level) {
        if !lower.is_empty() {
            higher.splice(0..0, all(lower, level));
        }
    }

    fn places(value: &Vec<Declared<T>>) -> Vec<Place> {
        value.iter().map(Declared::place).collect()
    }
}

fn all<T: Clone>(lower: &[Declared<T>], level: Level) -> impl Iterator<Item = Declared<T>> {
    lower.iter().map(move |one| one.inherited(level))
}
