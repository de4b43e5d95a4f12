//! Placeholder of the layer `lab`.
