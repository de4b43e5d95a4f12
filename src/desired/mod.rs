//! Placeholder of the layer `desired`.
