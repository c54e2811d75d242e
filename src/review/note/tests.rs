//! What is sent of a plan, and what is left of answers.
