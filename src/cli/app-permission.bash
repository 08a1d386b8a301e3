# bash completion for app-permission: "--help" knows the commands and options

_app_permission()
{
    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]}
    local help commands command word value

    help=$("$1" --help 2>/dev/null)
    commands=$(awk '/^  [a-z]/ { print $1 }' <<<"$help")

    for word in "${COMP_WORDS[@]:1:COMP_CWORD - 1}"; do
        if grep -qxF -e "$word" <<<"$commands"; then
            command=$word
            help+=$'\n'$("$1" "$command" --help 2>/dev/null)
            break
        fi
    done

    # "  --name VALUE  text"

    value=$(awk -F '  +' -v option="$prev" '
        split($2, word, " ") && word[1] == option { print word[2] }' \
        <<<"$help")

    case $value in
    '')
        if [[ $cur == -* ]]; then
            value=$(awk '/^  --/ { print $1 }' <<<"$help")
        elif [[ -z $command || $command == help ]]; then
            value=$commands
        elif [[ $help == *"app-permission $command "*"[FILE]"* ]]; then
            value=FILE
        fi
        ;;
    [A-Z]*\|*) value= ;;
    *\|*) value=${value//|/ } ;;
    URL) value="redis:// rediss:// unix:/ redis+sentinel:// redis+cluster://" ;;
    esac

    case $value in
    FILE) compopt -o filenames 2>/dev/null
          COMPREPLY=($(compgen -f -- "$cur")) ;;
    CMD)  COMPREPLY=($(compgen -c -- "$cur")) ;;
    [A-Z]*) COMPREPLY=() ;;
    *)    COMPREPLY=($(compgen -W "$value" -- "$cur")) ;;
    esac
}

complete -F _app_permission app-permission
