;; Takes all the memory there is before anybody asks it anything.
(func $grow (loop (drop (memory.grow (i32.const 16))) (br 0)))
(start $grow)
