//! placeholder
/// s
#[derive(Debug)]
pub struct Spool {}
/// p
#[derive(Debug)]
pub struct Prepared {}
/// c
#[derive(Debug)]
pub struct Content {}
