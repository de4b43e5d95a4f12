//! Placeholder of the layer `journal`.
