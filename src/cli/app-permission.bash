# bash completion for app-permission

_app_permission()
{
    local cur prev command i
    local -A options=(
        [grant]="--gateway --resource --app --days --expires --type"
        [revoke]="--gateway --resource --app"
        [check]="--gateway --resource --app"
        [list]="--gateway --app --expired --unused-since"
        [import]="--replace --allow-empty"
        [export]=""
        [access]="--since"
        [renew]="--term --dimension --dry-run"
        [expiring]="--days --term --notify"
        [purge]="--expired-for"
        [doctor]="--for"
    )
    local common="--redis --prefix --json --user --password-file --cacert
        --cert --key --tls-name --insecure --timeout --help --version"

    COMPREPLY=()
    cur=${COMP_WORDS[COMP_CWORD]}
    prev=${COMP_WORDS[COMP_CWORD - 1]}

    for ((i = 1; i < COMP_CWORD; i++)); do
        if [[ -n ${COMP_WORDS[i]} && -n ${options[${COMP_WORDS[i]}]+set} ]]
        then
            command=${COMP_WORDS[i]}
            break
        fi
    done

    case $prev in
    --dimension)
        COMPREPLY=($(compgen -W "both gateway resource" -- "$cur"))
        return
        ;;
    --for)
        COMPREPLY=($(compgen -W "all gateway renewal auditor" -- "$cur"))
        return
        ;;
    --password-file|--cacert|--cert|--key)
        compopt -o filenames 2>/dev/null
        COMPREPLY=($(compgen -f -- "$cur"))
        return
        ;;
    --notify)
        COMPREPLY=($(compgen -c -- "$cur"))
        return
        ;;
    --redis)
        COMPREPLY=($(compgen -W "redis:// rediss:// unix:/
            redis+sentinel:// redis+cluster://" -- "$cur"))
        return
        ;;
    --gateway|--resource|--app|--days|--expires|--type|\
    --unused-since|--since|--term|--expired-for|--prefix|--user|--tls-name|\
    --timeout)
        return
        ;;
    esac

    if [[ $cur == -* ]]; then
        COMPREPLY=($(compgen -W "${command:+${options[$command]}} $common" \
            -- "$cur"))

    elif [[ -z $command ]]; then
        COMPREPLY=($(compgen -W "${!options[*]}" -- "$cur"))

    elif [[ $command == import || $command == export ]]; then
        compopt -o filenames 2>/dev/null
        COMPREPLY=($(compgen -f -- "$cur"))
    fi
}

complete -F _app_permission app-permission
