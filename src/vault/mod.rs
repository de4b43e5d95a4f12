//! Placeholder of the layer `vault`.
