"""What an event means for each table. Pure: event in, row changes out."""
