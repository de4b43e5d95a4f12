//! One row for each key of the file format.
//!
//! A row says everything about a key but what its value is for: `mtu: Mtu, Replaced, "MTU of …";` is
//! its name, the type that knows its shape and reads it ([`super::form`]), how it is inherited
//! ([`super::inherit`]), and its documentation. From the rows of a map come a struct with a field for
//! each key, what reads it and puts its levels together, the check for unknown keys, the JSON Schema,
//! the tables of docs/file-format.md, and the names that `wgfleet explain` shows.

use super::declared::{Level, Place};
use super::fields::{Fields, Sink};
use super::spec::KeySpec;

/// A struct that the rows of a map make.
pub(super) trait Rows: Sized {
    /// What a map of the file says; groups of keys that its section does not have are absent.
    fn of(fields: &Fields<'_>, sink: &mut Sink) -> Self;

    /// Takes from a lower level what this one leaves open. [`Level::Own`] leaves to what is taken
    /// the level that it has.
    fn inherit(&mut self, lower: &Self, level: Level);

    /// Where each key that can be inherited is written, in order of the rows.
    fn places(&self) -> Vec<(&'static KeySpec, Place)>;
}

/// Makes a struct of rows, in groups that several sections of the format may share.
macro_rules! rows {
    (
        $(#[$meta:meta])*
        $vis:vis struct $name:ident, $rows:ident {
            $($group:ident: {
                $($field:ident: $form:ty, $way:ident, $doc:literal;)*
            })*
        }
    ) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Default)]
        $vis struct $name {
            $($(
                #[doc = $doc]
                $vis $field: <$form as $crate::inventory::spec::Form>::Value,
            )*)*
        }

        #[doc = concat!("The rows of [`", stringify!($name), "`], each under the name of its field.")]
        #[derive(Debug)]
        $vis struct $rows {
            $($(
                #[doc = $doc]
                $vis $field: &'static $crate::inventory::spec::KeySpec,
            )*)*
        }

        impl $name {
            /// Its rows.
            $vis const ROWS: $rows = $rows {
                $($(
                    $field: &$crate::inventory::spec::KeySpec {
                        name: $crate::inventory::spec::key_of(stringify!($field)),
                        shape: <$form as $crate::inventory::spec::Form>::SHAPE,
                        doc: $doc,
                        required: <$crate::inventory::inherit::$way as $crate::inventory::inherit::Way>::REQUIRED,
                        inheritance: <$crate::inventory::inherit::$way as $crate::inventory::inherit::Way>::INHERITANCE,
                    },
                )*)*
            };
            $(
                /// Rows that sections have together.
                pub(super) const $group: &'static [&'static $crate::inventory::spec::KeySpec] =
                    &[$(Self::ROWS.$field,)*];
            )*
        }

        impl $crate::inventory::rows::Rows for $name {
            fn of(
                fields: &$crate::inventory::fields::Fields<'_>,
                sink: &mut $crate::inventory::fields::Sink,
            ) -> Self {
                let mut read = Self::default();
                $(if fields.have(Self::$group) {
                    $(if let Some(field) = fields.get(Self::ROWS.$field) {
                        read.$field = <$form as $crate::inventory::form::Read>::read(&field, sink);
                    })*
                })*
                read
            }

            fn inherit(&mut self, lower: &Self, level: $crate::inventory::declared::Level) {
                $($(
                    <$crate::inventory::inherit::$way as $crate::inventory::inherit::Inherits<_>>
                        ::inherit(&mut self.$field, &lower.$field, level);
                )*)*
            }

            fn places(
                &self,
            ) -> Vec<(&'static $crate::inventory::spec::KeySpec, $crate::inventory::declared::Place)> {
                let mut all = Vec::new();
                $($(
                    let places = <$crate::inventory::inherit::$way as $crate::inventory::inherit::Inherits<_>>
                        ::places(&self.$field);
                    all.extend(places.into_iter().map(|place| (Self::ROWS.$field, place)));
                )*)*
                all
            }
        }
    };
}

pub(super) use rows;
