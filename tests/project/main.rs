//! What holds for the project as a whole: the program as people run it, and what it is shipped with. One program with a
//! module for each, so that the crate is linked once.

#[cfg(test)]
mod architecture;
#[cfg(test)]
mod cli;
#[cfg(test)]
mod examples;
#[cfg(test)]
mod readme;
#[cfg(test)]
mod templates;
#[cfg(test)]
mod tour;
