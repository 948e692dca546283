mod bed;
mod columns;
mod damage;
mod faults;
mod sealing;
mod tree;
