//! The sections of the file format, whose keys the rows of each say.

use super::expect::{Flow, RuleKeys, Survival};
use super::file::FileKeys;
use super::form::Map;
use super::host::{HostMap, OverrideSettings};
use super::links::LinkKeys;
use super::network::NetworkMap;
use super::peer::PeerMap;
use super::rollout::RolloutKeys;
use super::settings::{Defaults, GroupMap, MemberMap};
use super::site::{SiteKeys, Underlay};

pub use super::spec::{Form, Inheritance, KeySpec, Section, Shape};

/// The whole file.
pub const FLEET: &Section = FileKeys::SECTION;

/// Every section.
pub const SECTIONS: &[&Section] = &[
    FLEET,
    NetworkMap::SECTION,
    SiteKeys::SECTION,
    Underlay::SECTION,
    Defaults::SECTION,
    GroupMap::SECTION,
    HostMap::SECTION,
    MemberMap::SECTION,
    OverrideSettings::SECTION,
    PeerMap::SECTION,
    LinkKeys::SECTION,
    RolloutKeys::SECTION,
    RuleKeys::SECTION,
    Flow::SECTION,
    Survival::SECTION,
];
