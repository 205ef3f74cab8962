;; Asks 10,000 times for memory that its own maximum refuses, and answers.
(memory (export "memory") 1 2)
(func $evaluate (param $pod i32) (param i32 i32) (result i32) (local $n i32)
  (call $drop (local.get $pod))
  (loop (drop (memory.grow (i32.const 9))) (local.set $n (i32.add (local.get $n) (i32.const 1)))
    (br_if 0 (i32.lt_u (local.get $n) (i32.const 10000))))
  (i32.const 192))
