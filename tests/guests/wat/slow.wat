;; Computes for a while: in time when it is alone, too late among many.
(func $evaluate (param $pod i32) (param i32 i32) (result i32) (local $n i32)
  (call $drop (local.get $pod))
  (loop (local.set $n (i32.add (local.get $n) (i32.const 1))) (br_if 0 (i32.lt_u (local.get $n) (i32.const 200000000))))
  (i32.const 192))
