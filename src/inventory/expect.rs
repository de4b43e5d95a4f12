//! The rules of `expect`, before their names are looked up.

use crate::model::{Located, Location};

use super::fields::{Field, Fields, Sink, wrong_type};
use super::form::{AnyName, FlowEnd, Map, Read};
use super::links::items;
use super::node::Kind;
use super::rows::{Rows, rows};
use super::spec::{Form, Section, Shape};

rows! {
    /// One rule of `expect`.
    pub(super) struct RuleKeys, RuleRows {
        KEYS: {
            allow: Located<Flow>, Own, "A flow that must exist.";
            deny: Located<Flow>, Own, "A flow that must not exist.";
            survive: Located<Survival>, Own, "A flow that must exist while something else has failed.";
        }
    }
}

impl Map for RuleKeys {
    const SECTION: &'static Section =
        &Section { what: "an expect rule", id: "rule", many: "rules", keys: &[RuleKeys::KEYS] };

    fn read(fields: &Fields<'_>, sink: &mut Sink) -> Self {
        Self::of(fields, sink)
    }
}

rows! {
    /// A flow of an `expect` rule.
    pub(super) struct Flow, FlowRows {
        KEYS: {
            from: FlowEnd, Required, "Host, site, group, peer, network, prefix or `internet`.";
            to: FlowEnd, Required, "Host, site, group, peer, network, prefix or `internet`.";
        }
    }
}

impl Map for Flow {
    const SECTION: &'static Section =
        &Section { what: "a flow", id: "flow", many: "flows", keys: &[Flow::KEYS] };

    fn read(fields: &Fields<'_>, sink: &mut Sink) -> Self {
        Self::of(fields, sink)
    }
}

rows! {
    /// A flow of a `survive` rule.
    pub(super) struct Survival, SurvivalRows {
        KEYS: {
            loss_of: Option<Vec<AnyName>>, Required, "What fails: a host or peer, a site (its uplink), or a link as `[a, b]`.";
            from: FlowEnd, Required, "Host, site, group, peer, network, prefix or `internet`.";
            to: FlowEnd, Required, "Host, site, group, peer, network, prefix or `internet`.";
        }
    }
}

impl Map for Survival {
    const SECTION: &'static Section = &Section {
        what: "a flow that survives",
        id: "survival",
        many: "flows that survive",
        keys: &[Survival::KEYS],
    };

    fn read(fields: &Fields<'_>, sink: &mut Sink) -> Self {
        Self::of(fields, sink)
    }
}

/// One rule, its names not yet looked up.
#[derive(Debug, Clone)]
pub(super) struct DraftRule {
    pub(super) allow: bool,
    pub(super) from: Located<String>,
    pub(super) to: Located<String>,
    /// What fails, of a `survive` rule.
    pub(super) without: Option<Vec<Located<String>>>,
    pub(super) at: Location,
}

impl Form for Vec<DraftRule> {
    type Value = Self;
    const SHAPE: Shape = Shape::Expect;
}

impl Read for Vec<DraftRule> {
    fn read(field: &Field<'_>, sink: &mut Sink) -> Self {
        let mut rules = Self::new();
        for item in items(field, "`allow:`, `deny:` and `survive:` rules", sink) {
            let Kind::Map(entries) = &item.node.kind else {
                wrong_type(
                    &item,
                    "a rule is `allow: {from: …, to: …}`, `deny: …` or `survive: …`",
                    sink,
                );
                continue;
            };
            let at = entries.first().map_or(item.at, |(key, _)| key.at);
            let Some(keys) = RuleKeys::open(&Field { at, ..item }, sink) else { continue };
            let RuleKeys { allow, deny, survive } = keys;
            for (flow, allow) in [(allow, true), (deny, false)] {
                let Some(Located { value: flow, at }) = flow else { continue };
                if let (Some(from), Some(to)) = (flow.from, flow.to) {
                    rules.push(DraftRule { allow, from, to, without: None, at });
                }
            }
            if let Some(Located { value: flow, at }) = survive
                && let (Some(from), Some(to), Some(lost)) = (flow.from, flow.to, flow.loss_of)
            {
                rules.push(DraftRule { allow: true, from, to, without: Some(lost), at });
            }
        }
        rules
    }
}
