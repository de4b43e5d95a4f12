//! Placeholder of the layer `tunnel`.
