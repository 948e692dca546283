mod bed;
mod crashes;
mod partitions;
