//! Placeholder of the layer `apply`.
