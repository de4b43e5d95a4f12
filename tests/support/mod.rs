//! What several test programs share: a lab for the length of one test, and a fleet that lives in it.

#![allow(dead_code, reason = "each test program uses its own part of it")]

pub(crate) mod documents;
pub(crate) mod home;
pub(crate) mod lab;
