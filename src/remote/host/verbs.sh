case $verb in
observe) observe ;;
adopt) adopt ;;
helper) push_helper "$@" ;;
part) helper_part "$@" ;;
apply) apply "$@" ;;
confirm) if claim "$1" confirmed; then stop_timer "$1"; keep "$1"; else say gone; fi ;;
probe) probe ;;
clock) moment; say "clock $now" ;;
prepare) prepare "$@" ;;
flip) flip "$@" ;;
hold) hold "$@" ;;
release) release "$1" ;;
fate) fate "$1" ;;
lock) take_lock "$@" ;;
renew) renew_lock "$@" ;;
unlock) unlock "$1" ;;
holder) show_lock ;;
break) break_lock ;;
revert) take_back "$1" ;;
work) work "$@" ;;
step) step "$@" ;;
expire) expire "$@" ;;
*) say "unknown verb"; exit 64 ;;
esac
exit
