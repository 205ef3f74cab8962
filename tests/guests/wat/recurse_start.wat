;; Calls itself without end before anybody asks it anything.
(func $deeper (call $deeper))
(start $deeper)
