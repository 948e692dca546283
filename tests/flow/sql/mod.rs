//! SQL over archive and log.

mod bed;
mod damage;
mod documented;
mod equal;
mod http;
mod isolation;
mod limits;
