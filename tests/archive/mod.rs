//! The archive as operators and analysts use it, and over a real S3 server.

mod analysts;
mod both_ways;
mod operators;
mod s3;
