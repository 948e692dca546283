//! Personal data erased: what reads as erased, where it may lie, and what holds
//! all the same.

mod again;
mod bed;
mod steps;
mod walk;
