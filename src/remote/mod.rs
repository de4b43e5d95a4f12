//! Placeholder of the layer `remote`.
