//! What every HTTP answer of the system has in common, through the router and
//! without a port.

mod app;
mod auth;
mod bodies;
mod frame;
mod limits;
mod pages;
