case $verb in
observe) observe ;;
adopt) adopt ;;
helper) push_helper "$@" ;;
part) helper_part "$@" ;;
apply) apply "$@" ;;
confirm) if claim "$1" confirmed; then stop_timer "$1"; keep "$1"; else say gone; fi ;;
revert) if claim "$1" reverting; then stop_timer "$1"; revert "$1"; else say gone; fi ;;
work) work "$1" ;;
step) step "$@" ;;
expire) expire "$@" ;;
*) say "unknown verb"; exit 64 ;;
esac
exit
