#!/bin/sh
#
# page.sh: prints the body of perm_status_page() (page.c), C statements that
# write page.html with page.css for {{style}} and page.js for {{script}}.
#
# {{text(host)}} stands for a call: perm_page_text(host).

dir=$(dirname "$0")

echo 'perm_page_static('
sed -e "/^{{style}}$/r $dir/page.css" -e "/^{{script}}$/r $dir/page.js" \
    "$dir/page.html" \
| sed -e '/^{{[a-z]*}}$/d' \
      -e 's/[\\"]/\\&/g' \
      -e 's/{{\([^}]*\)}}/"); perm_page_\1; perm_page_static("/g' \
      -e 's/.*/"&\\n"/'
echo ');'
