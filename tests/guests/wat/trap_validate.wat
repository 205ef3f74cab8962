;; Traps instead of judging a config.
(func $validate (param i32 i32) (result i32) unreachable)
