//! Placeholder of the layer `check`.
