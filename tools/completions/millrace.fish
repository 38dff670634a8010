# fish completion of millrace: the program itself says what there is.

function __millrace_command
    set -l words (commandline -opc)
    for word in $words[2..-1]
        if not string match -q -- '-*' $word
            echo $word
            return 0
        end
    end
    return 1
end

function __millrace_options
    millrace help --complete (__millrace_command) 2>/dev/null
end

complete -c millrace -n 'not __millrace_command' -f -a '(millrace help --complete)'
complete -c millrace -n '__millrace_command; and string match -q -- "-*" (commandline -ct)' \
    -f -a '(__millrace_options)'
complete -c millrace -n 'test (__millrace_command) = help' -f -a '(millrace help --complete)'
complete -c millrace -l endpoint -x -a http://127.0.0.1:4567
complete -c millrace -s d -l data -r -a '(__fish_complete_directories)'
complete -c millrace -l key-file -r -F
