#!/usr/bin/perl

# 5,000 commands in random order: t/oracle_commands.t in length.

$ENV{ORACLE_COMMANDS} //= 5000;
do './t/oracle_commands.t' or die $@ || $!;
