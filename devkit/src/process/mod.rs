//! Children, ports, private folders and server threads, each cleaned up by
//! whoever holds the value.

mod background;
mod child;
mod folder;
mod listeners;
mod ports;

pub use background::Background;
pub(crate) use child::dying_of;
pub use child::{Guarded, dying_with_us, dying_with_us_as, dying_with_us_in};
pub(crate) use folder::private_directory;
pub use folder::{private_folder, write_private};
pub use listeners::open_to_others;
pub use ports::{free_pair, free_port};
