//! Whether a host or an unmanaged peer belongs to the fleet, and until when.

use crate::model::Until;

use super::rows::rows;

rows! {
    /// Whether a host or an unmanaged peer belongs to the fleet.
    pub struct Presence, PresenceRows {
        PRESENCE: {
            enabled: bool, Own, "With false, the fleet is as if this were not written; key and addresses are kept. Default true.";
            until: Until, Own, "Its last day, as 2027-01-31 (in UTC), 2027-01-31+01:00 or 2027-01-31T18:00+01:00; the first apply after that takes it out, as `enabled: false` does.";
        }
    }
}
