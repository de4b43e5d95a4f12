//! Placeholder of the layer `event`.
