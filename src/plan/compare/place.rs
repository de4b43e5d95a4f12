//! Where settings are.

use std::collections::BTreeMap;

use super::name::SettingName;
use super::value::Value;
use crate::model::InterfaceName;

/// A place of settings: an interface, and a peer of it.
pub(super) type Place = (Option<InterfaceName>, Option<String>);
/// Settings of one place.
pub(super) type Settings = BTreeMap<SettingName, Value>;
/// The settings of each place.
pub(super) type SettingsByPlace = BTreeMap<Place, Settings>;
