mod bed;
mod columns;
mod damage;
mod erased;
mod faults;
mod sealing;
mod tree;
