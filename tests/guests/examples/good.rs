//! Does nothing wrong.

use guests::Plugin;

struct Good;

impl Plugin for Good {}

guests::plugin!(Good);
