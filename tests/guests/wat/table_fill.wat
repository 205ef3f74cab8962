;; Fills and copies its table without end.
(table $t 100000 funcref)
(func $evaluate (param i32 i32 i32) (result i32)
  (loop (table.fill $t (i32.const 0) (ref.null func) (i32.const 100000))
    (table.copy $t $t (i32.const 0) (i32.const 1) (i32.const 99999)) (br 0)) unreachable)
