//! How the types of the format stand in the file: the shape of each, and what reads it.

use std::fmt::{Debug, Display};
use std::net::IpAddr;
use std::str::FromStr;

use ipnet::IpNet;

use crate::model::{
    Backend, Become, Endpoint, FleetName, Forbidden, FwMark, GroupName, Hook, HostName,
    InterfaceName, Keepalive, Located, Mtu, NetworkName, Part, Port, PublicKey, RouteTable,
    SiteName, SshTarget, Until, Window,
};

use super::declared::{Declared, Setting};
use super::fields::{Field, Fields, Sink, named};
use super::spec::{Form, Section, Shape};
use super::value;

/// What reads a value, or says what is wrong with it.
pub(super) trait Read: Form {
    fn read(field: &Field<'_>, sink: &mut Sink) -> Self::Value;
}

/// A map of the file that has keys of its own.
pub(super) trait Map: Clone + Debug {
    const SECTION: &'static Section;

    fn read(fields: &Fields<'_>, sink: &mut Sink) -> Self;

    /// Checks the keys of a map, and reads it.
    fn open(field: &Field<'_>, sink: &mut Sink) -> Option<Self> {
        let fields = Fields::open(Self::SECTION, field.node, field.at, sink)?;
        Some(Self::read(&fields, sink))
    }
}

impl<M: Map> Form for Located<M> {
    /// Its place is that of the key.
    type Value = Option<Self>;
    const SHAPE: Shape = Shape::Section(M::SECTION);
}

impl<M: Map> Read for Located<M> {
    fn read(field: &Field<'_>, sink: &mut Sink) -> Self::Value {
        M::open(field, sink).map(|map| Self::new(map, field.at))
    }
}

/// What stands under a name; `None` for a part that was refused.
#[derive(Debug, Clone)]
pub(super) struct Entry<N, M> {
    pub(super) name: Option<Located<N>>,
    pub(super) map: Option<M>,
}

impl<N, M> Entry<N, M> {
    /// The entry, where nothing is wrong with its name and it is a map.
    pub(super) fn whole(self) -> Option<(Located<N>, M)> {
        self.name.zip(self.map)
    }
}

impl<N: Clone + Debug, M: Map> Form for Vec<Entry<N, M>> {
    type Value = Self;
    const SHAPE: Shape = Shape::Named(M::SECTION);
}

impl<N, M: Map> Read for Vec<Entry<N, M>>
where
    N: FromStr<Err: Display> + Clone + Debug,
{
    fn read(field: &Field<'_>, sink: &mut Sink) -> Self {
        named(*field, M::SECTION.many, sink)
            .iter()
            .map(|entry| Entry { name: value::name(entry, sink), map: M::open(entry, sink) })
            .collect()
    }
}

/// A type whose text the model parses.
pub(super) trait Text: FromStr<Err: Display> + Clone + Debug {
    const SHAPE: Shape;
}

impl<T: Text> Form for T {
    type Value = Option<Declared<T>>;
    const SHAPE: Shape = T::SHAPE;
}

impl<T: Text> Read for T {
    fn read(field: &Field<'_>, sink: &mut Sink) -> Self::Value {
        value::declared(field, sink)
    }
}

impl<T: Text> Form for Vec<T> {
    type Value = Vec<Located<T>>;
    const SHAPE: Shape = Shape::OneOrMany(&<T as Text>::SHAPE);
}

impl<T: Text> Read for Vec<T> {
    fn read(field: &Field<'_>, sink: &mut Sink) -> Self::Value {
        value::parse_many(field, sink)
    }
}

macro_rules! texts {
    ($($text:ty => $shape:expr,)*) => {
        $(impl Text for $text {
            const SHAPE: Shape = $shape;
        })*
    };
}

texts! {
    FleetName => Shape::Name,
    SiteName => Shape::Name,
    GroupName => Shape::Name,
    NetworkName => Shape::Name,
    HostName => Shape::Name,
    InterfaceName => Shape::InterfaceName,
    Endpoint => Shape::Endpoint,
    SshTarget => Shape::Ssh,
    PublicKey => Shape::PublicKey,
    Until => Shape::Until,
    Part => Shape::Part,
    Window => Shape::Window,
    Forbidden => Shape::Choice(Forbidden::WORDS),
}

/// A type whose form in the file is told here.
macro_rules! form {
    ($form:ty => $value:ty, $shape:expr, $read:expr) => {
        impl Form for $form {
            type Value = $value;
            const SHAPE: Shape = $shape;
        }

        impl Read for $form {
            fn read(field: &Field<'_>, sink: &mut Sink) -> Self::Value {
                let read: fn(&Field<'_>, &mut Sink) -> Self::Value = $read;
                read(field, sink)
            }
        }
    };
}

pub(super) use form;

/// What each item of a list is, as what its level declares.
fn each<T>(items: Vec<Located<T>>) -> Vec<Declared<T>> {
    items.into_iter().map(Declared::from).collect()
}

form!(bool => Setting<bool>, Shape::Bool, |field, sink| {
    value::boolean(field, sink).map(|on| Declared::own(on, field.at)).into()
});
form!(
    Become => Setting<Self>,
    Shape::Choice(&["auto", "none", "sudo", "doas"]),
    |field, sink| value::declared(field, sink).into()
);
form!(
    Backend => Setting<Self>,
    Shape::Choice(Backend::WORDS),
    |field, sink| value::declared(field, sink).into()
);
form!(
    Port => Option<Declared<Self>>,
    Shape::Int(value::PORTS.0, value::PORTS.1),
    |field, sink| value::port(field, sink).map(Declared::from)
);
form!(
    Mtu => Option<Declared<Self>>,
    Shape::Int(value::MTUS.0, value::MTUS.1),
    |field, sink| value::mtu(field, sink).map(Declared::from)
);
form!(
    RouteTable => Setting<Self>,
    Shape::IntOr(1, u32::MAX, &["auto", "off", "main"]),
    |field, sink| value::table(field, sink).map(Declared::from).into()
);

/// How many hosts a group may have.
#[derive(Debug)]
pub(super) enum GroupSize {}
form!(
    GroupSize => Option<Declared<u32>>,
    Shape::Int(value::HOSTS.0, value::HOSTS.1),
    |field, sink| value::hosts(field, sink).map(Declared::from)
);

/// Words that a number takes beside it where it can be switched off.
const OFF: &[&str] = &["off"];

form!(
    Option<FwMark> => Option<Declared<Self>>,
    Shape::IntOr(value::MARKS.0, value::MARKS.1, OFF),
    |field, sink| value::fwmark(field, sink).map(Declared::from)
);
form!(
    Option<Keepalive> => Option<Declared<Self>>,
    Shape::IntOr(value::SECONDS.0, value::SECONDS.1, OFF),
    |field, sink| value::keepalive(field, sink).map(Declared::from)
);
form!(
    Option<HostName> => Option<Declared<Self>>,
    Shape::OrFalse(&Shape::Name),
    value::full_tunnel
);
form!(Vec<IpNet> => Vec<Located<IpNet>>, Shape::OneOrMany(&Shape::Prefix), value::prefixes);
// An empty list says something else than none.
form!(
    Option<Vec<IpNet>> => Option<Vec<Located<IpNet>>>,
    Shape::OneOrMany(&Shape::Prefix),
    |field, sink| Some(value::prefixes(field, sink))
);
form!(
    Option<Vec<IpAddr>> => Option<Vec<Declared<IpAddr>>>,
    Shape::OneOrMany(&Shape::Address),
    |field, sink| Some(each(value::addresses(field, sink)))
);
form!(
    Vec<Hook> => Vec<Declared<Hook>>,
    Shape::OneOrMany(&Shape::Hook),
    |field, sink| each(value::parse_many(field, sink))
);

/// A DNS server or a search domain.
#[derive(Debug)]
pub enum Dns {}
form!(
    Vec<Dns> => Option<Declared<Vec<Located<String>>>>,
    Shape::OneOrMany(&Shape::Dns),
    |field, sink| Some(Declared::own(value::dns(field, sink), field.place()))
);

/// The path of a file, or a pattern.
#[derive(Debug)]
pub(super) enum Path {}
form!(Vec<Path> => Vec<Located<String>>, Shape::OneOrMany(&Shape::Path), value::texts);

/// A name of a host, a site or a group, which is looked up when all names are known.
#[derive(Debug)]
pub(super) enum AnyName {}
form!(
    Option<Vec<AnyName>> => Option<Vec<Located<String>>>,
    Shape::OneOrMany(&Shape::Name),
    |field, sink| Some(value::texts(field, sink))
);

/// Who an `expect` rule is about.
#[derive(Debug)]
pub(super) enum FlowEnd {}
form!(FlowEnd => Option<Located<String>>, Shape::Selector, |field, sink| {
    value::text(field, sink).map(|text| text.map(str::to_owned))
});
