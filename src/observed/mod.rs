//! Placeholder of the layer `observed`.
